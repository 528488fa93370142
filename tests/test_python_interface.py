"""The four verbs as functions, as README.md and classify/README.md show them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from fc7.classify import FitOptions, classify_images, fit_classifier, load_classifier, save_classifier
from fc7.classify.fit.from_cache import fit_cache
from fc7.classify.predict.options import ClassifyOptions
from fc7.extract import ExtractOptions, extract_features, load_features
from fc7.extract.cache.reader import CacheReader
from fc7.models.network.spec import caffe_preprocess
from fc7.models.store.importing import ImportOptions, import_network
from tests.support import COLOURS, ROOT, lines_of, tiny_network, write_pictures
from tests.test_pages import PAGES


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    file = tiny_network(tmp_path / "tiny.onnx")
    import_network(file, "tiny", ImportOptions(preprocess=caffe_preprocess(), layer="embedding"))
    return tmp_path


def test_images_to_predictions_in_four_calls(store: Path) -> None:
    write_pictures(store / "imgs", per_class=6)
    write_pictures(store / "new", per_class=2, start=50)
    notes: list[str] = []
    summary = extract_features(
        [store / "imgs"], store / "features.h5", ExtractOptions(network="tiny"), notify=notes.append
    )
    assert (summary.images, summary.rows, summary.failures) == (18, 18, [])
    assert len(notes) == 1
    X, y, paths = load_features(store / "features.h5")
    assert np.shape(X) == (18, 64)
    assert list(y) == [str(path).split("/")[0] for path in paths]
    result = fit_cache(store / "features.h5", store / "classifier.onnx")
    assert result.metrics.accuracy > 0.9
    done = classify_images([store / "new"], store / "classifier.onnx", store / "predictions.csv")
    assert done.counts == dict.fromkeys(sorted(COLOURS), 2)
    assert len(lines_of(store / "predictions.csv")) == 6
    # A lone path, as text or not, is not taken letter by letter.
    assert classify_images(store / "new", store / "classifier.onnx").counts == done.counts
    assert classify_images(str(store / "new"), store / "classifier.onnx").counts == done.counts
    again = extract_features(str(store / "imgs"), store / "features.h5", ExtractOptions(network="tiny"))
    assert (again.rows, again.reused) == (18, 18)


def test_rows_of_predictions_come_back_and_without_a_file_nothing_is_written(store: Path) -> None:
    write_pictures(store / "imgs", per_class=6)
    (store / "imgs/blue/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    extract_features([store / "imgs"], store / "features.h5", ExtractOptions(network="tiny"))
    X, *_ = features = load_features(store / "features.h5")
    fitted = fit_classifier(features, options=FitOptions(head="svm", C=1.0)).classifier
    sureness = fitted.predict_proba(X).max(axis=1)
    save_classifier(replace(fitted, reject_below=float(np.median(sureness))), store / "c.onnx")
    there = sorted(store.rglob("*"))
    done = classify_images([store / "imgs"], store / "c.onnx")
    assert sorted(store.rglob("*")) == there
    assert done.out is None
    assert done.classes == fitted.classes_ == ("blue", "green", "red")
    assert [failure.path for failure in done.failures] == ["blue/broken.png"]

    written = classify_images([store / "imgs"], store / "c.onnx", store / "p.csv")
    assert list(map(repr, written.rows)) == list(map(repr, done.rows))
    lines = {line["path"]: line for line in lines_of(store / "p.csv") if not line["error"]}
    assert [path for path, _, _ in done.rows] == list(lines)
    assert done.n_rejected == [label for _, label, _ in done.rows].count("unknown") == 9
    for path, label, probabilities in done.rows:
        assert label == lines[path]["label"]
        assert f"{probabilities[done.classes.index(lines[path]['label_1'])]:.6f}" == lines[path]["score"]
        assert probabilities.sum() == pytest.approx(1)
    unkept = ClassifyOptions(keep_rows=False)
    assert classify_images([store / "imgs"], store / "c.onnx", options=unkept).rows == []


def test_the_pages_python_runs_as_printed(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(store / "imgs", per_class=8)
    write_pictures(store / "new", per_class=2, start=50)
    monkeypatch.chdir(store)
    monkeypatch.setenv("FC7_NETWORK", "tiny")
    said = {}
    # README.md comes first: the others go on with the features that it made.
    for page in PAGES:
        blocks = re.findall(r"^```python\n(.+?)^```$", (ROOT / page).read_text("utf-8"), re.M | re.S)
        for code in blocks:
            exec(compile(code, page, "exec"), {})
        said[page] = capsys.readouterr().out.splitlines()
    metrics, *rows = said["README.md"]
    assert metrics.startswith("Metrics(accuracy=1.000: 6 of 6")
    assert [row.split()[:2] for row in rows] == [
        [f"new/{colour}/{i:03}.png", colour] for colour in sorted(COLOURS) for i in (50, 51)
    ]
    assert said["classify/README.md"] == ["['blue' 'blue' 'blue']", "[1. 1. 1. 1. 1.]"]
    assert (store / "own.onnx").read_bytes() == (store / "classifier.onnx").read_bytes()
    images = [classify_images([store / "new"], store / "everything.onnx").counts]
    assert images == [dict.fromkeys(sorted(COLOURS), 2)]


def test_a_classifier_from_arrays_can_be_kept(store: Path) -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([np.eye(5)[i] + rng.normal(0, 0.1, (10, 5)) for i in range(3)])
    result = fit_classifier(X, np.repeat(["a", "b", "c"], 10))
    save_classifier(result.classifier, store / "own.onnx")
    assert list(load_classifier(store / "own.onnx").predict(X[::10])) == ["a", "b", "c"]


def records_of(value: object) -> Iterator[object]:
    """A record and all that it holds, to the last."""
    if is_dataclass(value):
        yield value
        value = [getattr(value, field.name) for field in fields(value)]
    elif isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from records_of(item)


def test_what_the_public_functions_give_shows_itself_in_one_line(store: Path) -> None:
    write_pictures(store / "imgs", per_class=12)
    shutil.copy(store / "imgs/red/000.png", store / "imgs/red/copy.png")
    (store / "imgs/blue/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    extracted = extract_features([store / "imgs"], store / "features.h5", ExtractOptions(network="tiny"))
    features = load_features(store / "features.h5")
    options = FitOptions(reject_precision=0.9, normalize="standard")
    fitted = fit_cache(store / "features.h5", store / "classifier.onnx", options)
    classified = classify_images([store / "imgs"], fitted.classifier, store / "predictions.csv")
    network = import_network(
        store / "tiny.onnx", "two", ImportOptions(preprocess=caffe_preprocess(), layer="embedding")
    )
    with CacheReader(store / "features.h5") as reader:
        columns = reader.columns()
    found = {
        type(record).__name__: repr(record)
        for record in records_of([extracted, features, options, fitted, classified, network, columns])
    }
    assert {name for name, shown in found.items() if "\n" in shown or "array(" in shown} == set()
    assert max(map(len, found.values())) < 1000
    assert found["FeatureSet"] == "FeatureSet(37 rows of 64 features, embedding of tiny, 3 classes)"
    assert "features.h5': 38 images, 37 rows, 1 failure, 37 extracted" in found["ExtractSummary"]
    assert "predictions.csv': 38 images, 37 classified, 1 failure," in found["ClassifySummary"]
    assert "Classifier(" in found["FitResult"]
    assert "Metrics(accuracy=" in found["FitResult"]
    assert found["RowColumns"].startswith("RowColumns(path=<37 items>, label=<37 items>")
    assert {
        "Duplicates",
        "SplitRecord",
        "NoveltyReference",
        "Normalizer",
        "Rejection",
        "Tuned",
    } <= found.keys()
    assert {"CacheIdentity", "FeatureIdentity", "NetworkSpec", "Reliability", "Failure"} <= found.keys()


def test_features_equal_the_networks_own_numbers(store: Path) -> None:
    """One picture by hand: Pillow's resize, BGR minus means, and the same layers in NumPy."""
    import onnx
    from onnx import numpy_helper
    from PIL import Image

    write_pictures(store / "imgs", per_class=1)
    extract_features([store / "imgs"], store / "f.h5", ExtractOptions(network="tiny", exact_decode=True))
    found = load_features(store / "f.h5")
    w = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(store / "tiny.onnx")).graph.initializer}
    image = Image.open(store / "imgs" / found.paths[0]).convert("RGB")
    # The caffe recipe: warp to 256/224 of 32, and the centre that the network takes.
    resized = np.asarray(image.resize((37, 37), Image.Resampling.BILINEAR))[2:34, 2:34]
    bgr = resized[..., ::-1].astype(np.float64) - [104.00698793, 116.66876762, 122.67891434]
    padded = np.pad(bgr.transpose(2, 0, 1), ((0, 0), (2, 2), (2, 2)))
    maps = np.zeros((16, 8, 8))
    for i in range(8):
        for j in range(8):
            patch = padded[:, 4 * i : 4 * i + 5, 4 * j : 4 * j + 5]
            maps[:, i, j] = np.tensordot(w["w1"], patch, 3) + w["b1"]
    pooled = np.maximum(maps, 0).reshape(16, 4, 2, 4, 2).mean((2, 4))
    wanted = np.maximum(w["w2"] @ pooled.reshape(-1) + w["b2"], 0)
    np.testing.assert_allclose(found.X[0], wanted, rtol=1e-4, atol=1e-4)
