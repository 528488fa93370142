"""What fc7 wrote is told by its content: older versions too, and not what somebody else made or changed."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fc7.classify import kinds
from fc7.classify.export.card import write_card
from fc7.extract.kinds import DRAWING, FAILURES, FEATURE_CACHE, NPZ, PARQUET
from fc7.models.outputs.kinds import Kind, describe
from tests.support import ROOT, onnx_that_says
from tests.support.classify.blobs import fitted

DATA = ROOT / "tests/data"
EVALUATION = kinds.EVALUATION
SIDES = "group_1,path_1,label_1,split_1,group_2,path_2,label_2,split_2"
TEXTS: list[tuple[Kind, str, bool]] = [
    (FAILURES, "path,reason\r\na.jpg,truncated\r\n", True),
    (FAILURES, "path,reason,mine\n", False),
    (kinds.PREDICTIONS, "path,label,score,label_1,score_1,label_2,score_2,rejected,novelty,error\n", True),
    # Before there were doubts, and those of `imagenet`.
    (kinds.PREDICTIONS, "path,label,score,label_1,score_1,error\na.jpg,x,1,x,1,\n", True),
    (kinds.PREDICTIONS, "path,label,score\na.jpg,x,1\n", False),
    (kinds.PREDICTIONS, "path,label\na.jpg,x\n", False),
    (kinds.PREDICTIONS, '{"path": "a \\"b.jpg", "label": "x", "score": 0.9, "top": []}\n', True),
    (kinds.PREDICTIONS, '{"path": "a.jpg", "error": "truncated"}\n', True),
    (kinds.PREDICTIONS, '{"path": "a.jpg", "caption": "mine"}\n', False),
    (kinds.PREDICTIONS, "imgs/a.jpg\n   99.12%  tench (n01440764)\n", True),
    (kinds.PREDICTIONS, "imgs/a.jpg\n  unreadable: truncated\n", True),
    (kinds.PREDICTIONS, "imgs/a.jpg\nimgs/b.jpg\n", False),
    (kinds.SPLIT, "path,label,group,split,sha256\n", True),
    # As people write it for `extract --labels`, and as fc7 did before: it cannot be told whose it is.
    (kinds.SPLIT, "path,label,group,split\na.jpg,x,,train\n", False),
    (kinds.DUPLICATES, f"cosine,exact,different_labels,{SIDES}\n", True),
    (kinds.DUPLICATES, f"cosine,exact,thumbnails,different_labels,{SIDES}\n", True),
    (kinds.DUPLICATES, f"{','.join(kinds.DUPLICATE_COLUMNS)}\n", True),
    (kinds.SUSPECTS, f"{','.join(kinds.SUSPECT_COLUMNS)}\n", True),
    (kinds.SUSPECTS, "path,label,suggested,confidence,suggested_confidence,copy,p_wrong\n", True),
    (kinds.SUSPECTS, "path,label,suggested,confidence,suggested_confidence,copy\n", True),
    (kinds.SUSPECTS, "path,label,suggested,confidence,suggested_confidence,copy,looked at\n", False),
    (kinds.NETWORKS, f"{','.join(kinds.NETWORK_COLUMNS)}\n", True),
    (kinds.NETWORKS, "network,layer,accuracy\n", False),
    (EVALUATION["figures.csv"], "figure,value\nn,200\n", True),
    (EVALUATION["figures.csv"], "figure,value\nwidth,20 cm\n", False),
    (EVALUATION["confusion.csv"], ",a,b\na,1,0\nb,0,1\n", False),
    (
        kinds.REPORT,
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta http-equiv="x">\n'
        '<meta name="referrer" content="z">\n<title>Classifier report: 90.0% accuracy</title>\n',
        True,
    ),
    (kinds.REPORT, '<!DOCTYPE html>\n<html lang="en">\n<head>\n<title>Classifier report</title>\n', False),
]


@pytest.mark.parametrize(("kind", "text", "ours"), TEXTS)
def test_texts_are_told_by_how_they_begin(tmp_path: Path, kind: Kind, text: str, ours: bool) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8", newline="")
    assert kind.recognises(path) == ours
    assert (kind.name in describe(path)) == ours


@pytest.mark.parametrize(
    "start",
    [
        b"\xff\xd8\xff\xe0 a photograph",
        b"\n",
        b"\0" * 100,
        b"\x08",
        b"\x08\xff",
        b"PK\x03\x04",
        b"a" * 200_000,
    ],
)
def test_whatever_bytes_there_are_no_kind_takes_them_for_its_own(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(start)
    everything = [value for value in vars(kinds).values() if isinstance(value, Kind)]
    everything += [*EVALUATION.values(), FEATURE_CACHE, NPZ, PARQUET, FAILURES, DRAWING]
    assert [kind.name for kind in everything if kind.recognises(path)] == []
    assert describe(path)


def test_a_confusion_matrix_counts_only_beside_figures_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "confusion.csv"
    path.write_text(',"a ""b""",c\n"a ""b""",1,0\nc,0,1\n')
    (tmp_path / "figures.csv").write_text("figure,value\nn,2\n")
    assert EVALUATION["confusion.csv"].recognises(path)
    path.write_text("truth,a,b\na,1,0\n")
    assert not EVALUATION["confusion.csv"].recognises(path)


def test_a_card_that_somebody_added_to_is_theirs(tmp_path: Path) -> None:
    path = write_card(fitted(), tmp_path / "card.md")
    assert kinds.CARD.recognises(path)
    text = path.read_text(encoding="utf-8")
    for changed in (
        text.replace("## Limits", "It is not for faces.\n\n## Limits"),
        text + "By me.\n",
        "# Mine\n",
    ):
        path.write_text(changed, encoding="utf-8")
        assert not kinds.CARD.recognises(path)


def test_classifiers_and_exports_of_every_version_are_told_apart(tmp_path: Path) -> None:
    paths = list(DATA.glob("classifier-v*.onnx"))
    assert paths
    for path in paths:
        assert kinds.CLASSIFIER.recognises(path)
        assert not kinds.FULL.recognises(path)
    full, arrays = tmp_path / "full.onnx", tmp_path / "full.onnx.data"
    arrays.write_bytes(b"numbers")
    for says, ours in (("full.onnx.data", True), ("", False)):
        onnx_that_says(full, format="fc7-full", arrays=says)
        assert kinds.FULL.recognises(full)
        assert kinds.FULL_ARRAYS.recognises(arrays) == ours
    onnx_that_says(full, format="somebody's")
    assert not kinds.FULL.recognises(full)
    assert "an ONNX file (somebody's)" in describe(full)
    full.write_bytes(full.read_bytes()[:-3])
    assert not kinds.CLASSIFIER.recognises(full)


def test_caches_are_told_from_other_hdf5_files_and_known_when_they_are_cut(tmp_path: Path) -> None:
    paths = list(DATA.glob("cache-v*.h5"))
    assert paths
    for path in paths:
        assert FEATURE_CACHE.recognises(path)
    path = tmp_path / "cut.h5"
    for length in (1, 7, 100, 5000):
        path.write_bytes((DATA / "cache-v1.h5").read_bytes()[:length])
        assert FEATURE_CACHE.recognises(path)
    with h5py.File(path, "w") as file:
        file["features/fc7"] = np.ones((2, 3))
    assert not FEATURE_CACHE.recognises(path)
    assert "an HDF5 file" in describe(path)


def test_arrays_of_somebody_else_are_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, X=np.ones(3), y=np.ones(3))
    assert not NPZ.recognises(path)
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    parquet.write_table(arrow.table({"path": ["a"]}), path)
    assert not PARQUET.recognises(path)


@pytest.mark.parametrize(
    ("software", "kind"), [("fc7", DRAWING), ("fc7 report", kinds.PLOT), ("other", None)]
)
def test_a_picture_says_who_drew_it(tmp_path: Path, software: str, kind: Kind | None) -> None:
    says = PngInfo()
    says.add_text("Software", software)
    path = tmp_path / "x.png"
    Image.new("RGB", (5, 5)).save(path, pnginfo=says)
    assert [each for each in (DRAWING, kinds.PLOT) if each.recognises(path)] == ([kind] if kind else [])


def test_a_damaged_zip_is_told_and_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", '{"fc7_": 1}' * 1000)
    assert kinds.SKOPS.recognises(path)
    data = bytearray(path.read_bytes())
    data[45:60] = b"\xff" * 15
    path.write_bytes(data)
    assert not kinds.SKOPS.recognises(path)
    assert describe(path)


@pytest.mark.parametrize("name", ["a\x0bb", "a\x0cb", "a\x1cb", "a\x85b", "a\u2028b", 'a"b', "a\nb"])
def test_a_confusion_table_is_known_whatever_its_classes_are_called(tmp_path: Path, name: str) -> None:
    (tmp_path / "figures.csv").write_text("figure,value\nn,4\n")
    with (tmp_path / "confusion.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["", name, "z"], [name, 1, 0], ["z", 0, 3]])
    assert EVALUATION["confusion.csv"].recognises(tmp_path / "confusion.csv")


def test_a_text_that_begins_like_a_picture_is_a_text_and_a_picture_needs_no_suffix(tmp_path: Path) -> None:
    (tmp_path / "x.bmp").write_text("BM hello world\n")
    assert describe(tmp_path / "x.bmp").startswith("a text file that begins with 'BM hello world'")
    Image.new("RGB", (8, 8)).save(tmp_path / "bare", "BMP")
    assert describe(tmp_path / "bare").startswith("a picture (BMP)")
