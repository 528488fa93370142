"""What came of `models quantize`, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.classify.quantise.accuracy import AccuracyChange
from fc7.extract.engine.side_by_side import Speeds
from fc7.models.common.names import shortened
from fc7.models.common.program import pip_install
from fc7.models.common.record_repr import one_line_repr
from fc7.models.common.terminal import counted

MOST_LOSS = 0.3
"""Points of accuracy from which on a loss is never passed over in silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseReport:
    """A network in integers beside the one it was made of.

    Attributes
    ----------
    of : str
        The network of single precision.
    quantised, single : tuple of str
        Layers in integers, and those left in single precision, the first that was left out first.
    n_calibration : int
        Images that the ranges were measured on.
    cosines : ndarray of shape (n_images,), float64
        Of each image's features to those of single precision.
    accuracy : AccuracyChange or None
        Of a linear SVM; None where it cannot be had.
    no_accuracy : str
        Why not.
    speeds : Speeds
        The original first.
    integer_products : bool or None
        Whether the CPU multiplies 8-bit integers at once; None where that is not known.
    sizes : tuple of (int, int)
        Bytes of both in the network store, the original's first.
    """

    name: str
    of: str
    layer: str
    quantised: tuple[str, ...]
    single: tuple[str, ...]
    n_calibration: int
    cosines: NDArray[np.float64]
    accuracy: AccuracyChange | None
    no_accuracy: str
    speeds: Speeds
    integer_products: bool | None
    sizes: tuple[int, int]
    folder: Path

    __repr__ = one_line_repr

    @property
    def warnings(self) -> list[str]:
        """What nobody may overlook, a line each."""
        found = []
        change = self.accuracy
        if change is not None and change.change < -MOST_LOSS:
            noise = " (within noise: more images would tell)" if change.in_noise else ""
            found.append(
                f"WARNING: {self.name} loses {-change.change:.2f} points of accuracy on these images, and "
                f"{MOST_LOSS} are allowed{noise}; use {self.of}, or quantise it on more images like yours"
            )
        if self.speeds.ratio < 1:
            found.append(
                f"WARNING: {self.name} is slower here than {self.of}, {self.speeds.ratio:.2f} times its rate"
                f"{self._why_slow()}"
            )
        return found

    def _why_slow(self) -> str:
        if self.integer_products is False:
            return ": this CPU has no instructions for 8-bit products (VNNI, AMX)"
        if any(engine.endswith("bf16") for engine in self.speeds.engines):
            return ": this CPU multiplies bfloat16 too, which leaves integers less to gain"
        if self.speeds.engines[1].startswith("CPUExecutionProvider"):
            return (
                f": ONNX Runtime's CPU provider gains nothing; {pip_install('fc7[openvino]')} brings OpenVINO"
            )
        return ""

    def to_text(self) -> str:
        """A few lines."""
        left = f"; in single precision: {shortened(', '.join(self.single))}" if self.single else ""
        n_layers = len(self.quantised) + len(self.single)
        before, after = self.speeds.images_per_second
        rows = [
            f"{self.name}: {len(self.quantised)} of {counted(n_layers, 'layer')} up to {self.layer} in "
            f"integers{left}",
            f"cosine to {self.of} on {counted(len(self.cosines), 'image')}: mean {self.cosines.mean():.5f}, "
            f"least {self.cosines.min():.5f}",
            self._accuracy_text(),
            f"speed: {after:.1f} images/s ({self.speeds.engines[1]}), {self.of} {before:.1f} "
            f"({self.speeds.engines[0]}): {self.speeds.ratio:.2f} times",
            f"the ranges were measured on {self.n_calibration} of these images, whose labels took no part",
            f"{self.folder} ({self.sizes[1] / 1e6:.1f} MB; {self.of} has {self.sizes[0] / 1e6:.1f})",
        ]
        return "\n".join(rows)

    def _accuracy_text(self) -> str:
        change = self.accuracy
        if change is None:
            return f"accuracy: not measured, {self.no_accuracy}"
        noise = ", within noise" if change.in_noise else ""
        return (
            f"accuracy of a linear SVM: {change.after:.2f} %, {self.of} {change.before:.2f} %: "
            f"{change.change:+.2f} points (standard error {change.standard_error:.2f} over "
            f"{counted(change.splits, 'split')}{noise})"
        )

    def to_json(self) -> dict[str, object]:
        """The same for a program."""
        accuracy = None
        if self.accuracy is not None:
            accuracy = {**asdict(self.accuracy), "in_noise": self.accuracy.in_noise}
        before, after = self.speeds.images_per_second
        return {
            "name": self.name,
            "of": self.of,
            "layer": self.layer,
            "layers_in_integers": list(self.quantised),
            "layers_in_single_precision": list(self.single),
            "calibration_images": self.n_calibration,
            "cosine": {"mean": float(self.cosines.mean()), "least": float(self.cosines.min())},
            "images": len(self.cosines),
            "accuracy": accuracy,
            "accuracy_not_measured": self.no_accuracy or None,
            "images_per_second": after,
            "images_per_second_of_original": before,
            "speed_ratio": self.speeds.ratio,
            "engine": self.speeds.engines[1],
            "engine_of_original": self.speeds.engines[0],
            "cpu_multiplies_integers": self.integer_products,
            "bytes": self.sizes[1],
            "bytes_of_original": self.sizes[0],
            "folder": str(self.folder),
            "warnings": self.warnings,
        }
