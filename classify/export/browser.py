"""A folder with a page that runs full.onnx in a browser, offline, by onnxruntime-web.

The library is not fc7's to hand around: its three files come from the user's copy of the npm package, of the
one version that was tried, and only if they are what npm has under that version.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.export.check_images import DRAWN, CheckInputs
from fc7.classify.export.export import Exported, export_full
from fc7.classify.gallery.copies import new_folder
from fc7.models.common.durable import explained, flush, room_beside
from fc7.models.common.errors import ClassifierError, UsageError
from fc7.models.common.progress import Notify, Progress

VERSION = "1.30.0"
"""Of onnxruntime-web."""

_FILES: Mapping[str, str] = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""Files of the package's ``dist/`` that a page for the processor needs, and their SHA-256."""

_PAGE = ("page.js", "picture.js", "page.css", "index.html")
_HOW = (
    f"`npm install onnxruntime-web@{VERSION}` brings it; give --onnxruntime-web node_modules/onnxruntime-web"
)


@dataclass(frozen=True, slots=True)
class BrowserExport:
    """What `export_browser` wrote.

    Attributes
    ----------
    size : int
        Bytes of the folder.
    full : Exported
        The full.onnx in it.
    """

    folder: Path
    size: int
    full: Exported

    def describe(self) -> str:
        """What was written, and how to look at it."""
        return (
            f"wrote {self.folder}/, {self.size / 1e6:.0f} MB: put it on any web server, or try it with\n"
            f"    python -m http.server --bind 127.0.0.1 --directory {self.folder}"
        )


def export_browser(
    classifier: Classifier,
    folder: Path,
    onnxruntime_web: Path,
    inputs: CheckInputs = DRAWN,
    *,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> BrowserExport:
    """Write the page, the network and classifier as one file, and the library that runs them.

    Parameters
    ----------
    folder : Path
        New or empty; it is complete when ``index.html`` is in it.
    onnxruntime_web : Path
        The npm package of `VERSION`, unpacked, or the ``node_modules`` that it is in.
    inputs : CheckInputs
        As `export_full`.

    Raises
    ------
    UsageError
        If the folder holds something, or the package is not that one.
    ClassifierError
        If they are too large for a browser, or as `export_full`.
    MismatchError, WeightsError, HungError
        As `export_full`.
    """
    dist = _package(onnxruntime_web)
    new_folder(folder, "-o")
    with explained(folder, "-o", ClassifierError), room_beside(folder) as room:
        full = export_full(classifier, room / "full.onnx", inputs, progress=progress, notify=notify)
        if len(full.files) > 1:
            raise ClassifierError(
                f"{folder}: network and classifier have {full.size / 1e9:.1f} GB, and a browser takes 2 GiB "
                "at most; fit a classifier on features of a smaller network"
            )
        batch = full.input_shape[0]
        settings = {
            "classes": classifier.classes_,
            "rejected_label": classifier.rejection_label,
            "network": classifier.identity.network,
            "preprocessing": json.loads(classifier.identity.preprocess),
            "batch": batch if isinstance(batch, int) else None,
        }
        (room / "settings.json").write_text(json.dumps(settings, ensure_ascii=False), "utf-8")
        for name in _FILES:
            shutil.copyfile(dist / name, room / name)
        page = package_files("fc7.classify.export").joinpath("static")
        for name in _PAGE:
            (room / name).write_bytes(page.joinpath(name).read_bytes())
        flush(room)
        folder.mkdir(parents=True, exist_ok=True)
        # Who finds index.html finds all that it asks for.
        for file in sorted(room.iterdir(), key=lambda file: file.name == "index.html"):
            file.replace(folder / file.name)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return BrowserExport(folder, size, full)


def _package(given: Path) -> Path:
    """The ``dist`` of the package that was given.

    Raises
    ------
    UsageError
        If it is not there, of another version, or changed.
    """
    option = f"--onnxruntime-web {given}"
    package = given / "onnxruntime-web" if (given / "onnxruntime-web").is_dir() else given
    try:
        about = json.loads((package / "package.json").read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise UsageError(f"{option}: no npm package onnxruntime-web was found there; {_HOW}") from exc
    found = (about.get("name"), about.get("version")) if isinstance(about, dict) else (None, None)
    if found != ("onnxruntime-web", VERSION):
        raise UsageError(
            f"{option}: {found[0]} {found[1]} was found, onnxruntime-web {VERSION} is needed; {_HOW}"
        )
    for name, digest in _FILES.items():
        try:
            data = (package / "dist" / name).read_bytes()
        except OSError as exc:
            raise UsageError(f"{option}: its dist/{name} cannot be read: {exc.strerror}; {_HOW}") from exc
        if hashlib.sha256(data).hexdigest() != digest:
            raise UsageError(f"{option}: its dist/{name} is not the file that npm has; {_HOW}")
    return package / "dist"
