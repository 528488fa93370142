"""Every output of every command as a call, for the tests of what may stand there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fc7.classify.kinds import EVALUATION, PLOTS

TORTURE = bool(os.environ.get("FC7_TORTURE"))
Run = Callable[[list[str]], tuple[int, str]]
"""A call: its exit code and its error message."""

CPU = ("--device", "cpu")
EXTRACT = ("extract", "imgs", "--labels", "labels.csv", "--network", "tiny", *CPU)
FIT = ("fit", "features.h5", "--svm", "-C", "1", "--duplicates", "off", "--keep-split", "kept.onnx")
CHOOSE = ("choose", "imgs", "--labels", "labels.csv", "--networks", "tiny", "--svm", "-C", "1", *CPU)
EXPORT = ("export", "-m", "classifier.onnx", "--features", "features.h5", "--images", "imgs")
REPORT = ("report", "features.h5", "-m", "classifier.onnx", "--images", "imgs", "-o", "{}/report.html")
REPORT_PLOTS = (*REPORT, "--plots", "{}")
PHOTO = "imgs/red/000.png"


@dataclass(frozen=True)
class Case:
    """A call with an output at ``{}``; with `file` the output is a folder, and `file` is written there."""

    arguments: tuple[str, ...]
    option: str
    kind: str
    inputs: tuple[str, ...]
    file: str = ""
    makes_folder: bool = False

    def __str__(self) -> str:
        return f"{' '.join(self.command)} {self.option} {self.file}".strip()

    @property
    def command(self) -> tuple[str, ...]:
        return self.arguments[: 2 if self.arguments[0] == "cache" else 1]

    def call(self, place: str | Path) -> list[str]:
        return [word.replace("{}", str(place)) for word in self.arguments]

    def output(self, place: Path) -> Path:
        return place / self.file if self.file else place


def folder_cases(arguments: tuple[str, ...], option: str, kinds: dict[str, str], *inputs: str) -> list[Case]:
    return [Case(arguments, option, kind, inputs, file, True) for file, kind in kinds.items()]


CASES = [
    Case((*EXTRACT, "-o", "{}"), "--output", "a feature cache", ("labels.csv", PHOTO)),
    Case(
        (*EXTRACT, "-o", "fresh.h5", "--failures-csv", "{}"),
        "--failures-csv",
        "a table of failures",
        ("labels.csv", PHOTO),
    ),
    Case((*FIT, "-o", "{}"), "--output", "a classifier", ("features.h5", "kept.onnx")),
    Case(
        (*FIT, "-o", "fresh.onnx", "--split-csv", "{}"),
        "--split-csv",
        "a table of the split",
        ("features.h5", "kept.onnx"),
    ),
    Case(
        ("classify", "imgs", "-m", "classifier.onnx", *CPU, "-o", "{}"),
        "--output",
        "a file of predictions",
        ("classifier.onnx", PHOTO),
    ),
    Case(
        ("classify", "features.h5", "-m", "classifier.onnx", "-o", "fresh.csv", "--html", "{}"),
        "--html",
        "a sheet of predictions",
        ("classifier.onnx", "features.h5"),
        makes_folder=True,
    ),
    Case(
        ("watch", "imgs", "-m", "classifier.onnx", *CPU, "--once", "--settle", "0", "-o", "{}"),
        "--output",
        "a file of predictions",
        ("classifier.onnx", PHOTO),
        makes_folder=True,
    ),
    Case(
        ("imagenet", "imgs", "--network", "net", *CPU, "-o", "{}"),
        "--output",
        "a file of predictions",
        (PHOTO,),
    ),
    *folder_cases(
        ("evaluate", "imgs", "-m", "classifier.onnx", "--labels", "labels.csv", *CPU, "--csv", "{}"),
        "--csv",
        {name: kind.name for name, kind in EVALUATION.items()},
        *("classifier.onnx", "labels.csv", PHOTO),
    ),
    Case(
        ("compare", "classifier.onnx", "kept.onnx", "features.h5", "--features-b", "other.h5", "--csv", "{}"),
        "--csv",
        "a table of a comparison",
        ("classifier.onnx", "kept.onnx", "features.h5", "other.h5"),
        makes_folder=True,
    ),
    Case(
        ("learning-curve", "features.h5", "--svm", "-C", "1", "--repeats", "2", "--csv", "{}"),
        "--csv",
        "a table of a learning curve",
        ("features.h5",),
        makes_folder=True,
    ),
    *folder_cases((*CHOOSE, "-o", "{}"), "--output", {"tiny.h5": "a feature cache"}, "labels.csv", PHOTO),
    Case(
        (*CHOOSE, "-o", "fresh", "--csv", "{}"),
        "--csv",
        "a table of networks",
        ("labels.csv", PHOTO),
        makes_folder=True,
    ),
    Case((*EXPORT, "-o", "{}"), "--output", "a full.onnx", ("classifier.onnx", "features.h5", PHOTO)),
    Case(
        (*EXPORT, "--format", "skops", "-o", "{}"),
        "--output",
        "a scikit-learn pipeline",
        ("classifier.onnx",),
    ),
    Case((*EXPORT, "--card", "{}"), "--card", "a model card", ("classifier.onnx", "features.h5", PHOTO)),
    Case(("duplicates", "features.h5", "--csv", "{}"), "--csv", "a table of duplicates", ("features.h5",)),
    Case(("suspects", "features.h5", "--csv", "{}"), "--csv", "a table of suspects", ("features.h5",)),
    Case(
        ("next", "unlabelled.h5", "-n", "2", "--csv", "{}"),
        "--csv",
        "a table of images to label",
        ("unlabelled.h5",),
    ),
    Case(
        ("next", "unlabelled.h5", "-n", "2", "--html", "{}"),
        "--html",
        "a sheet of images to label",
        ("unlabelled.h5",),
        makes_folder=True,
    ),
    Case(
        ("similar", PHOTO, "features.h5", "--csv", "{}"),
        "--csv",
        "a table of similar images",
        ("features.h5", PHOTO),
    ),
    Case(
        ("similar", PHOTO, "features.h5", "--html", "{}"),
        "--html",
        "a sheet of similar images",
        ("features.h5", PHOTO),
        makes_folder=True,
    ),
    *folder_cases(
        REPORT_PLOTS, "--output", {"report.html": "a report"}, "features.h5", "classifier.onnx", PHOTO
    ),
    *folder_cases(
        REPORT_PLOTS,
        "--plots",
        {name: kind.name for name, kind in PLOTS.items()},
        *("features.h5", "classifier.onnx", PHOTO),
    ),
    Case(
        ("cache", "merge", "features.h5", "other.h5", "-o", "{}"),
        "--output",
        "a feature cache",
        ("features.h5", "other.h5"),
    ),
    Case(
        ("cache", "to-npz", "features.h5", "-o", "{}"), "--output", "a file of NumPy arrays", ("features.h5",)
    ),
    Case(("cache", "to-parquet", "features.h5", "-o", "{}"), "--output", "a Parquet file", ("features.h5",)),
    *folder_cases(("shapes", "{}", "--count", "1"), "folder", {"star/0000.jpg": "another picture (seed 0)"}),
    *folder_cases(
        ("demo", "{}"),
        "folder",
        {
            "features.h5": "a feature cache",
            "svm.onnx": "a classifier",
            "softmax.onnx": "a classifier",
            "predictions.csv": "a file of predictions",
            "photographs.csv": "a file of predictions",
            "montage.png": "a picture drawn by fc7",
            "tiles/tile-07.png": "a picture drawn by fc7",
        },
    ),
]
# One of each output: what need not be tried for every file of a folder.
OUTPUTS = list({(case.arguments, case.option): case for case in CASES}.values())
# What stands there, in the words of a message; a classifier is named by its format where only stage one runs.
STANDING = {
    "photograph": ("a picture (JPEG)",),
    "cache": ("a feature cache",),
    "classifier": ("a classifier", "an ONNX file (fc7-classifier)"),
    "labels": ("a text file that begins with 'path,label,group,split'",),
    "text": ("a text file that begins with 'my notes'",),
}
# Folders that must be new or empty: tests/classify/gallery has their cases.
NEW_FOLDERS = {("classify", "--sort-into"), ("suspects", "--copy"), ("duplicates", "--copy")}
# Files that the app adds to, and the folder that it brings images to: tests/classify/app has their cases.
ADDED_TO = {
    ("app", name) for name in ("images", "--features", "--model", "--corrections", "--rounds", "--exports")
}
# Path options that are read; all others are outputs and have cases above.
INPUTS = {
    ("extract", "--labels"),
    ("fit", "features"),
    ("fit", "--keep-split"),
    ("classify", "--model"),
    ("watch", "folder"),
    ("watch", "--model"),
    ("evaluate", "--model"),
    ("evaluate", "--labels"),
    ("compare", "first"),
    ("compare", "second"),
    ("compare", "--features-b"),
    ("compare", "--labels"),
    ("choose", "--labels"),
    ("learning-curve", "features"),
    ("export", "--model"),
    ("export", "--features"),
    ("export", "--onnxruntime-web"),
    ("app", "--onnxruntime-web"),
    ("duplicates", "features"),
    ("report", "features"),
    ("report", "--model"),
    ("suspects", "features"),
    ("next", "features"),
    ("next", "--model"),
    *((name, "--corrections") for name in ("next", "fit", "evaluate", "compare", "choose", "learning-curve")),
    *((name, "--corrections") for name in ("report", "suspects", "duplicates", "similar")),
    ("cache info", "file"),
    ("cache verify", "file"),
    ("cache merge", "first"),
    ("cache merge", "second"),
    ("cache to-npz", "file"),
    ("cache to-parquet", "file"),
    ("models import", "file"),
    ("models import", "--prototxt"),
}


def everything(folder: Path) -> dict[Path, bytes | Path]:
    """Every file, and where every link leads; but for the store, which is not the user's."""
    paths = [path for path in folder.rglob("*") if (folder / "store") not in path.parents]
    links: dict[Path, bytes | Path] = {path: path.readlink() for path in paths if path.is_symlink()}
    return links | {path: path.read_bytes() for path in paths if path.is_file()}


def put(what: Path, at: Path) -> Path:
    at.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(what, at)
    return at
