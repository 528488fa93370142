"""The files of an app's project: the same that the commands read and write, in the current folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fc7.extract.options import RunOptions


@dataclass(frozen=True, slots=True)
class AppFiles:
    """Where everything lies.

    Attributes
    ----------
    images : Path
        The folder of images; class folders in it, and images without a label directly in it.
    features, model, corrections : Path
        The feature cache, the classifier, and the history of corrections.
    rounds : Path
        A line of JSON for every fit.
    exports : Path
        The folder of what is taken away.
    network : str or None
        Of the first extraction; None is the default network.
    force : bool
        Replace a classifier that was made elsewhere.
    onnxruntime_web : Path
        As `classify.export.browser.export_browser` takes it.
    run : RunOptions
        How it is run.
    """

    images: Path = Path("imgs")
    features: Path = Path("features.h5")
    model: Path = Path("classifier.onnx")
    corrections: Path = Path("corrections.csv")
    rounds: Path = Path("rounds.jsonl")
    exports: Path = Path("take-away")
    network: str | None = None
    force: bool = False
    onnxruntime_web: Path = Path("node_modules")
    run: RunOptions = field(default_factory=RunOptions)

    @property
    def corrections_if_any(self) -> Path | None:
        """The corrections, if somebody made one."""
        return self.corrections if self.corrections.is_file() else None
