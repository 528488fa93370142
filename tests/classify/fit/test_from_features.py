"""What `load_features` gave is all that `fit_classifier` needs to do what the command `fit` does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fc7 import FitOptions, classify_images, fit_classifier, load_classifier, load_features, save_classifier
from fc7.classify.image_columns import ImageColumns
from fc7.extract.records import Rows
from fc7.models.common.errors import MismatchError, UsageError
from tests.support import CommandLine
from tests.support.classify.blobs import blobs
from tests.support.extract.cache_support import Image, identity, refs, sha, writer

COUNTS = [24, 18, 15]


def noisy_cache(path: Path, *, split: bool = False) -> Path:
    """Classes that overlap; groups, exact copies, near ones by their thumbnails, an image without a label."""
    X, y = blobs(COUNTS, 6, spread=3.5)
    images = {}
    for i, label in enumerate(y.tolist()):
        # Every fifth image is a copy of the one before it, and those before them share a group with others.
        content = f"content {i - 1 if i % 5 == 4 else i}"
        group = f"walk {i // 9}" if i % 3 else None
        part = None if not split else "val" if i % 4 == 0 else "train"
        images[f"{label}/{i:03}.jpg"] = Image(content, label if i else None, group=group, split=part)
    listed = refs(images)
    rng = np.random.default_rng(1)
    thumbnails = rng.integers(1, 256, (len(listed), 96), np.uint8)
    thumbnails[10:13] = thumbnails[10]
    hashes = [sha(images[ref.path].content) for ref in listed]
    block = Rows(listed, hashes, {"fc7": X[:, :6]}, thumbnails)
    with writer(path, ("fc7",), identity=identity(("fc7",), dims={"fc7": 6})) as cache:
        cache.write_segment(block)
        cache.commit(listed, (), roots=["imgs"])
    return path


@pytest.mark.parametrize(
    ("options", "arguments", "split"),
    [
        (None, [], False),
        (FitOptions(head="softmax", C=1.0), ["--softmax", "-C", 1], True),
    ],
    ids=["as it comes", "a given split"],
)
def test_it_gives_the_commands_very_metrics_and_classifier(
    tmp_path: Path, options: FitOptions | None, arguments: list[str | float], split: bool
) -> None:
    cache = noisy_cache(tmp_path / "features.h5", split=split)
    ran = CommandLine(tmp_path).good("fit", cache, "--json", *map(str, arguments))
    result = fit_classifier(load_features(cache), options=options)
    assert json.loads(ran.out)["metrics"] == json.loads(json.dumps(result.metrics.to_json()))
    assert 0.3 < result.metrics.accuracy < 1
    save_classifier(result.classifier, tmp_path / "own.onnx")
    assert (tmp_path / "own.onnx").read_bytes() == (tmp_path / "classifier.onnx").read_bytes()


def test_the_set_comes_alone_and_arrays_come_with_labels(tmp_path: Path) -> None:
    features = load_features(noisy_cache(tmp_path / "features.h5"))
    with pytest.raises(UsageError, match="a FeatureSet and y, groups were given, and the set has its own"):
        fit_classifier(features, features.y, ImageColumns(groups=features.groups))
    with pytest.raises(
        UsageError, match="X came without y; give a label for each row, or what load_features"
    ):
        fit_classifier(features.X)
    with pytest.raises(UsageError, match="a CacheIdentity was found for what made the features; give"):
        fit_classifier(features.X, features.y, identity=features.identity)  # type: ignore[arg-type]


def test_the_columns_one_by_one_are_as_good_as_the_set(tmp_path: Path) -> None:
    features = load_features(noisy_cache(tmp_path / "features.h5"))
    apart = fit_classifier(
        features.X,
        features.y,
        ImageColumns(
            paths=features.paths,
            sha256=features.sha256,
            groups=features.groups,
            splits=features.splits,
            thumbnails=features.thumbnails,
        ),
        identity=features,
    ).classifier
    whole = fit_classifier(features).classifier
    np.testing.assert_array_equal(apart.coef_, whole.coef_)
    assert (apart.identity, apart.metadata) == (whole.identity, whole.metadata)


@pytest.mark.parametrize("inputs", ["features.h5", "imgs"])
def test_a_classifier_of_arrays_says_what_it_lacks_for_images(tmp_path: Path, inputs: str) -> None:
    features = load_features(noisy_cache(tmp_path / "features.h5"))
    (tmp_path / "imgs").mkdir()
    (tmp_path / "imgs/a.jpg").touch()
    X, y, paths = features
    save_classifier(fit_classifier(X, y, ImageColumns(paths=paths)).classifier, tmp_path / "own.onnx")
    kept = load_classifier(tmp_path / "own.onnx")
    assert kept.predict(X).shape == (57,)
    with pytest.raises(MismatchError) as caught:
        classify_images([tmp_path / inputs], kept, tmp_path / "p.csv")
    said = str(caught.value)
    assert "does not say which network, layer and preprocessing made them" in said
    assert "fit_classifier(load_features(FILE))" in said
    assert "''" not in said
    assert not (tmp_path / "p.csv").exists()
