"""Advice after a fit: nothing where the accuracy is good, and each piece where the data say so."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fc7.classify.advice import after_fit as module
from fc7.classify.advice import other_features
from fc7.classify.advice.after_fit import Baseline, after_fit
from fc7.classify.commands.texts.fit_text import advice_report, fit_json
from fc7.classify.fit.fit import FitOptions, FitResult
from fc7.classify.fit.from_cache import CachedLayer, fit_cache
from fc7.classify.fit.next_steps import Advice
from fc7.extract.cache.reader import CacheReader
from fc7.extract.records import Rows
from fc7.models.network.spec import LayerSpec, NetworkSpec, caffe_preprocess
from fc7.models.store.availability import ReadyNetwork
from fc7.models.store.store import StoredNetwork
from tests.support import CommandLine
from tests.support.extract.cache_support import Image, identity, refs, sha, writer

HERE = [ReadyNetwork("alexnet", "store", 57.1, True), ReadyNetwork("other", "store", 70.0, True)]


def cache_of(path: Path, *, told_apart: bool, layers: tuple[str, ...] = ("fc7",), n_cats: int = 30) -> Path:
    """Cats and 30 dogs, whose features differ or do not."""
    labels = ["cat"] * n_cats + ["dog"] * 30
    images = {f"{label}/{i:03}.jpg": Image(f"{label}{i}", label) for i, label in enumerate(labels)}
    listed = refs(images)
    shift = np.array([ref.label == "dog" for ref in listed])[:, None] * (20.0 if told_apart else 0.0)
    rng = np.random.default_rng(0)
    features = {layer: (rng.normal(size=(len(listed), 3)) + shift).astype(np.float32) for layer in layers}
    dims = dict.fromkeys(layers, 3)
    block = Rows(listed, [sha(images[ref.path].content) for ref in listed], features)
    with writer(path, layers, identity=identity(layers, dims=dims)) as cache:
        cache.write_segment(block)
        cache.commit(listed, (), roots=["imgs"])
    return path


def fitted(cache: Path) -> FitResult:
    options = FitOptions(head="svm", C=1.0, duplicates="exact", normalize="none")
    return fit_cache(cache, cache.with_suffix(".onnx"), options)


def commands(advice: Advice) -> list[list[str]]:
    """Without the program."""
    return [shlex.split(step.command)[1:] for step in advice.steps]


@pytest.fixture(autouse=True)
def networks_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A store with AlexNet, of four layers, and another network."""
    sizes = {"pool5": (256, 6, 6), "fc6_pre": (4096,), "fc6": (4096,), "fc7": (3,)}
    layers = tuple(LayerSpec(name, name, shape, "0" * 64) for name, shape in sizes.items())
    spec = NetworkSpec("alexnet", "alexnet", caffe_preprocess(), layers, "fc7")
    monkeypatch.setattr("fc7.models.store.store.load", lambda name: StoredNetwork(spec, tmp_path, tmp_path))
    monkeypatch.setattr(other_features, "ready_networks", lambda: HERE)


@pytest.mark.parametrize(("share", "limit"), [(0.5, 0.875), (0.1, 0.775)])
def test_an_accuracy_is_poor_where_a_quarter_of_the_baselines_errors_remains(
    share: float, limit: float
) -> None:
    baseline = Baseline("cat", share)
    assert baseline.leaves_poor(limit - 0.001)
    assert not baseline.leaves_poor(limit + 0.001)


def test_a_good_accuracy_gets_no_advice_and_a_wish_for_layers_the_command_for_them(tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "f.h5", told_apart=True)
    result = fitted(cache)
    assert result.metrics.accuracy == 1
    model = tmp_path / "c.onnx"
    assert after_fit(result, cache, model) == Advice()
    assert advice_report(Advice()) == ""
    (step,) = after_fit(result, cache, model, wants_layers=True).steps
    assert "extract fc6 and pool5 too, then fit --layer auto" in step.sentence
    assert shlex.split(step.command)[1:] == [
        *("extract", "imgs", "--network", "alexnet", "--layer", "fc7,fc6,pool5"),
        *("-o", str(tmp_path / "f-layers.h5")),
    ]


def test_a_poor_accuracy_gets_what_the_data_say(tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "f.h5", told_apart=False)
    result = fitted(cache)
    advice = after_fit(result, cache, tmp_path / "c.onnx")
    assert advice.why.startswith("the accuracy is poor: always predicting cat would reach 50.0%")
    assert [command[0] for command in commands(advice)][-3:] == ["extract", "choose", "report"]
    other = advice.steps[-2]
    assert "other is here, 70.0% top-1 on ImageNet." in other.sentence
    assert shlex.split(other.command)[-3:] == ["imgs", "--networks", "alexnet,other"]
    wrong = result.metrics.n - result.metrics.n_correct
    assert f"the {wrong} test images that are predicted wrong" in advice.steps[-1].sentence
    assert not any("train on fewer" in step.sentence for step in advice.steps)
    lines = advice_report(advice).splitlines()
    assert all(f"  {step.command}" in lines for step in advice.steps)
    assert fit_json(result, advice)["next_steps"] == [step.to_json() for step in advice.steps]


def test_layers_of_the_cache_go_before_layers_to_extract(tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "f.h5", told_apart=False, layers=("fc6", "fc7"))
    found = commands(after_fit(fitted(cache), cache, tmp_path / "c.onnx"))
    assert ["fit", str(cache), "--layer", "auto", "-o", str(tmp_path / "c-layers.onnx")] in found
    assert not any("--layer" in command for command in found if command[0] == "extract")


def test_a_choice_among_one_layer_is_said_to_be_none(tmp_path: Path) -> None:
    options = FitOptions(head="svm", C=1.0)
    said = "--layer auto: the feature cache has one layer, fc7, so there was nothing to choose"
    one = cache_of(tmp_path / "one.h5", told_apart=True)
    two = cache_of(tmp_path / "two.h5", told_apart=True, layers=("fc6", "fc7"))
    assert said in fit_cache(CachedLayer(one, "auto"), tmp_path / "1.onnx", options).notes
    assert said not in fit_cache(one, tmp_path / "2.onnx", options).notes
    assert not any(
        "--layer auto" in n for n in fit_cache(CachedLayer(two, "auto"), tmp_path / "3.onnx", options).notes
    )


def test_classes_with_few_images_are_named(tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "f.h5", told_apart=False)
    result = replace(fitted(cache), counts={"cat": (9, 9), "dog": (10, 9), "new": (0, 2)})
    sentences = [step.sentence for step in after_fit(result, cache, tmp_path / "c.onnx").steps]
    assert "1 class trains on fewer than 10 images, add images there: cat (9)." in sentences


def test_what_takes_long_is_left_to_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = cache_of(tmp_path / "f.h5", told_apart=False)
    result = fitted(cache)
    monkeypatch.setattr(module, "_MOST", 60 * 3 * 2 - 1)
    steps = after_fit(result, cache, tmp_path / "c.onnx").steps
    unmeasured = [step for step in steps if "was not measured here" in step.sentence]
    assert [shlex.split(step.command)[1] for step in unmeasured] == ["learning-curve", "suspects"]
    monkeypatch.setattr(module, "_MOST", 60 * 3 * 2)
    steps = after_fit(result, cache, tmp_path / "c.onnx").steps
    assert not any("was not measured here" in step.sentence for step in steps)


def test_without_a_network_here_one_to_download_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = cache_of(tmp_path / "f.h5", told_apart=False)
    monkeypatch.setattr(other_features, "ready_networks", lambda: HERE[:1])
    with CacheReader(cache) as reader:
        (step,) = other_features.another_network(reader, "")
    # Of those with a published accuracy and size: 69.48 of 14 MB (24 bits) is the most for a bit.
    assert shlex.split(step.command)[1:] == ["models", "pull", "mobilenet-v2"]
    assert "mobilenet-v2 (69.5% top-1 on ImageNet, 14 MB to download)" in step.sentence


def test_layers_of_an_unlisted_network_are_those_before_its_reductions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = {"a": (8, 50, 50), "b": (8, 50, 50), "c": (16, 25, 25), "d": (16, 12, 12), "fc7": (3,)}
    layers = tuple(LayerSpec(name, name, shape, "0" * 64) for name, shape in shapes.items())
    spec = NetworkSpec("mine", "onnx", caffe_preprocess(), layers, "fc7")
    monkeypatch.setattr("fc7.models.store.store.load", lambda name: StoredNetwork(spec, tmp_path, tmp_path))
    with CacheReader(cache_of(tmp_path / "f.h5", told_apart=False)) as reader:
        (step,) = other_features.earlier_layers(reader, "")
    assert "--layer fc7,d,c" in step.command
    assert "--pool" not in step.command
    # 16 x 25 x 25 numbers are 10,000; of 64 x 25 x 25, 40,000, one number a channel is taken.
    layers = tuple(
        LayerSpec(name, name, (64, 25, 25) if name == "c" else shape, "0" * 64)
        for name, shape in shapes.items()
    )
    spec = replace(spec, layers=layers)
    with CacheReader(tmp_path / "f.h5") as reader:
        (step,) = other_features.earlier_layers(reader, "")
    assert "--layer fc7,d,c --pool avg" in step.command


def test_what_is_advised_runs_on_the_layer_that_was_fitted(tmp_path: Path) -> None:
    """The cache has another layer, which commands take by default, and the classifier's name is taken."""
    run = CommandLine(tmp_path)
    cache_of(tmp_path / "f.h5", told_apart=False, layers=("fc6", "fc7"), n_cats=20)
    text = run.good("fit", "f.h5", "--svm", "-C", "1", "--layer", "fc6", "--duplicates", "exact").out
    advised = [line.partition("cli.py ")[2] for line in text.splitlines() if "cli.py " in line]
    commands = [command for command in map(shlex.split, advised) if command[0] not in ("choose", "models")]
    rejecting = next(command for command in commands if "--reject-precision" in command)
    assert rejecting[2:4] == ["--layer", "fc6"]
    for command in commands:
        run.good(*command)


def test_the_classes_of_a_fit_are_those_of_the_commands(tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "f.h5", told_apart=False)
    options = FitOptions(head="svm", C=1.0, duplicates="exact", include=("cat", "dog"))
    result = fit_cache(cache, tmp_path / "c.onnx", options)
    found = commands(after_fit(result, cache, tmp_path / "c.onnx"))
    rejecting = next(command for command in found if "--reject-precision" in command)
    assert rejecting[2:6] == ["--include", "cat", "--include", "dog"]


def test_a_cache_that_is_large_is_not_read_for_a_small_train_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = cache_of(tmp_path / "f.h5", told_apart=False)
    options = FitOptions(head="svm", C=1.0, duplicates="exact", per_class=2)
    result = fit_cache(cache, tmp_path / "c.onnx", options)
    # 60 rows of 3 numbers and two classes are 360; of the train set they are 24.
    monkeypatch.setattr(module, "_MOST", 359)
    names = [command[0] for command in commands(after_fit(result, cache, tmp_path / "c.onnx"))]
    assert names.count("learning-curve") == names.count("suspects") == 1
