"""Places are tried before the work, named or not, from the command line and from Python."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fc7.classify.classifier.artifact import load_classifier, save_classifier
from fc7.classify.commands.demo import run_demo
from fc7.classify.export.card import write_card
from fc7.classify.export.export import export_full
from fc7.classify.export.skops_file import write_skops
from fc7.classify.fit.from_cache import fit_cache
from fc7.classify.predict.imagenet import ImagenetOptions, imagenet_images
from fc7.classify.predict.predict import classify_images
from fc7.classify.report.make import ReportOptions, make_report
from fc7.extract.cache.merge import merge
from fc7.extract.cache.npz import to_npz
from fc7.extract.cache.parquet import to_parquet
from fc7.extract.drawn.drawing import save_png
from fc7.extract.drawn.shapes import make_shapes
from fc7.extract.inputs.places.folders import FolderOrigin
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.summary import write_failures_csv
from fc7.models.common.errors import Fc7Error, UsageError
from tests.outputs.cases import CPU, OUTPUTS, Case, Run, everything, put
from tests.support import coloured_picture, command


@pytest.mark.parametrize("case", OUTPUTS, ids=str)
@pytest.mark.usefixtures("unread")
def test_a_place_is_tried_before_the_work(place: Path, there: Path, run: Run, case: Case) -> None:
    before = everything(place)
    if case.file:
        put(place / "standing" / "text", there)
        told = ["is a file where a folder is needed", "give a folder to write into"]
    else:
        there.mkdir()
        told = ["it is a folder; choose another"]
    taken = everything(place)
    for force in ([], ["--force"]):
        code, message = run([*case.call("there"), *force])
        assert code == 2, message
        assert any(text in message for text in told), message
    assert everything(place) == taken
    shutil.rmtree(there) if there.is_dir() else there.unlink()
    for wrong, text in (("no/folder/x", "make the folder"), (f"{'x' * 300}", "name too long")):
        if text == "make the folder" and case.makes_folder:
            continue
        code, message = run(case.call(wrong))
        assert code == 2, message
        assert text in message.lower()
    assert everything(place) == before


@pytest.mark.parametrize(
    ("arguments", "name", "kind"),
    [
        (("extract", "../imgs", "--network", "tiny"), "features.h5", "a feature cache"),
        (("fit", "../features.h5"), "classifier.onnx", "a classifier"),
        (("classify", "../imgs", "-m", "../classifier.onnx"), "predictions.csv", "a file of predictions"),
        (("export", "-m", "../classifier.onnx"), "full.onnx", "a full.onnx"),
        (("export", "-m", "../classifier.onnx"), "full.onnx.data", "a file of arrays"),
        (("export", "-m", "../classifier.onnx", "--format", "skops"), "classifier.skops", "a scikit-learn"),
        (("report", "../features.h5", "-m", "../classifier.onnx"), "report.html", "a report"),
        (("cache", "to-npz", "../features.h5"), "features.npz", "a file of NumPy arrays"),
        (("cache", "to-parquet", "../features.h5"), "features.parquet", "a Parquet file"),
        (("demo",), "fc7-demo/montage.png", "a picture drawn by fc7"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
@pytest.mark.usefixtures("unread")
def test_a_place_that_nobody_named_is_guarded_too(
    place: Path, there: Path, run: Run, arguments: tuple[str, ...], name: str, kind: str
) -> None:
    put(place / "standing" / "text", there / name)
    before = everything(place)
    with contextlib.chdir(there):
        code, message = run(list(arguments))
    assert code == 2
    assert f"{name}: a text file that begins with 'my notes'" in message
    assert f"and {kind}" in message
    assert everything(place) == before


FUNCTIONS: dict[str, Callable[[Path], object]] = {
    "extract_features": lambda out: extract_features(["imgs"], out, ExtractOptions("tiny", device="cpu")),
    "merge": lambda out: merge("features.h5", "other.h5", out),
    "to_npz": lambda out: to_npz("features.h5", out),
    "to_parquet": lambda out: to_parquet("features.h5", out),
    "write_failures_csv": lambda out: write_failures_csv([], out),
    "save_png": lambda out: save_png(coloured_picture("red", 0), out),
    "make_shapes": lambda out: make_shapes(out.parents[1], 1),
    "fit_cache": lambda out: fit_cache("features.h5", out),
    "fit_cache, split": lambda out: fit_cache("features.h5", "fresh.onnx", split_csv=out),
    "save_classifier": lambda out: save_classifier(load_classifier("classifier.onnx"), out),
    "write_card": lambda out: write_card(load_classifier("classifier.onnx"), out),
    "write_skops": lambda out: write_skops(load_classifier("classifier.onnx"), out),
    "export_full": lambda out: export_full(load_classifier("classifier.onnx"), out),
    "classify_images": lambda out: classify_images(["imgs"], "classifier.onnx", out),
    "imagenet_images": lambda out: imagenet_images(
        ["imgs"], out, ImagenetOptions(network="net", device="cpu")
    ),
    "make_report": lambda out: make_report("features.h5", "classifier.onnx", out),
    "make_report, plots": lambda out: make_report(
        "features.h5", "classifier.onnx", "fresh.html", ReportOptions(plots=out.parent)
    ),
    "run_demo": lambda out: run_demo(out.parent, say=lambda line: None),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.usefixtures("unread")
def test_the_functions_of_python_have_the_same_guard(place: Path, there: Path, name: str) -> None:
    inside = {"make_shapes": "circle/0000.jpg", "make_report, plots": "map.png", "run_demo": "svm.onnx"}
    out = put(place / "standing" / "text", there / inside.get(name, "out"))
    before = everything(place)
    with pytest.raises(UsageError, match="text"):
        FUNCTIONS[name](out)
    assert everything(place) == before


@pytest.mark.usefixtures("unread")
def test_unfinished_predictions_do_not_replace_somebody_elses(place: Path, there: Path, run: Run) -> None:
    put(place / "standing" / "text", Path(f"{there}.part"))
    before = everything(place)
    code, message = run(["classify", "imgs", "-m", "classifier.onnx", *CPU, "-o", "there"])
    assert code == 2
    assert "there.part: a text file" in message
    assert everything(place) == before


@pytest.mark.usefixtures("unread")
def test_features_that_the_disk_cannot_hold_are_not_begun(
    place: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 18 rows of 64 numbers, 4 bytes each, in segments and in the file.
    needed, notes = 18 * 64 * (4 + 4), list[str]()
    before = everything(place)
    for free, raised in ((needed // 8 - 1, Fc7Error), (needed - 1, AssertionError)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        with pytest.raises(raised, match=r"9\.22 kB will be written|an image was read"):
            extract_features(["imgs"], there, ExtractOptions("tiny", device="cpu"), notify=notes.append)
    assert any("up to 9.22 kB will be written, and 9.21 kB are free" in note for note in notes)
    assert everything(place) == before


@pytest.mark.skipif(os.name != "posix", reason="the shell's redirections")
def test_what_the_shell_appends_to_is_kept(place: Path, there: Path) -> None:
    call = ["classify", "features.h5", "-m", "classifier.onnx", "-q", "-o"]
    subprocess.run(command([*call, "there"]), check=True)
    appended = place / "appended"
    appended.write_bytes(b"mine\n")
    with appended.open("ab") as stream:
        subprocess.run(command([*call, "/dev/stdout"]), stdout=stream, check=True)
    assert there.read_bytes().startswith(b"path,label,score")
    assert appended.read_bytes() == b"mine\n" + there.read_bytes()


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_is_found_before_an_image_is_read(place: Path, there: Path, run: Run) -> None:
    there.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", there], check=False)
    if mounted.returncode:
        pytest.skip("may not mount")
    try:
        with (there / "filler").open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while stream.write(bytes(4096)):
                pass
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FolderOrigin, "read", None)
            for case in OUTPUTS:
                code, message = run(case.call("there/x"))
                assert code == 1, (str(case), message)
                assert "free the disk or choose another" in message
        (there / "filler").unlink()
        # There is room for a file, but not for these features.
        huge = run(["extract", "imgs", "--network", "tiny", *CPU, "-o", "there/x.h5"])
        assert huge[0] == 0, huge
    finally:
        subprocess.run(["umount", there], check=True)
