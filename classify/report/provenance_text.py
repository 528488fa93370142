"""What a classifier and a cache record of their making, as sentences: no key of a file reaches a reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fc7.models.common.terminal import counted

_CALIBRATIONS = {
    "temperature, out of fold": "temperature scaling, learned on images that each fold had held out",
    "none": "none: there were too few images to learn it",
}
_DECODERS = {
    "draft": "JPEGs decoded at a reduced size (draft)",
    "exact": "images decoded at full size (exact)",
}
_POOLS = {"avg": "the average", "max": "the maximum"}


def pool_in_words(pool: str) -> str:
    """What became of layers that are maps."""
    return f"of a layer of maps {_POOLS.get(pool, pool)} of each map"


def run_in_words(run: Mapping[str, str | int]) -> str:
    """A run of extract.

    Examples
    --------
    >>> run_in_words({"rows": 860, "provider": "CPUExecutionProvider", "onnxruntime": "1.23.0"})
    '860 images, by ONNX Runtime 1.23.0 with CPUExecutionProvider'
    >>> run_in_words({"rows": 1, "provider": "OpenVINO", "openvino": "2026.4.1", "precision": "bf16"})
    '1 image, by OpenVINO 2026.4.1, computed in bf16'
    """
    facts = dict(run)
    said = [counted(int(facts.pop("rows", 0)), "image")]
    runtime, provider = facts.pop("onnxruntime", ""), facts.pop("provider", "")
    said += [f"by ONNX Runtime {runtime}" + (f" with {provider}" if provider else "")] if runtime else []
    openvino = facts.pop("openvino", "")
    said += [f"by {provider} {openvino}"] if openvino else []
    decoder, precision = facts.pop("decode", ""), facts.pop("precision", "")
    said += [_DECODERS.get(str(decoder), f"decoded by {decoder}")] if decoder else []
    said += [f"computed in {precision}"] if precision else []
    said += [f"{key.replace('_', ' ')} {value}" for key, value in sorted(facts.items())]
    return ", ".join(said)


def split_in_words(split: object) -> str:
    """How the train set and the test set came to be, as `FitResult.record` has it.

    Examples
    --------
    >>> split_in_words({"how": "stratified", "n_train": 280, "n_test": 120, "test_size": 0.3, "seed": 0})
    '280 images train and 120 test; drawn in each class with seed 0, 30% of each for the test set'
    """
    if not isinstance(split, Mapping) or not {"how", "n_train", "n_test"}.issubset(split):
        return "not recorded"
    said = [f"{counted(split['n_train'], 'image')} train and {split['n_test']} test"]
    if split["how"] == "stratified":
        said.append(_drawn(split))
    else:
        words = split.get("words")
        said.append(f"given with the images{f' as {words}' if words else ''}")
    if split.get("balance"):
        said.append("the train set holds as many images of each class")
    said += [f"only the classes {', '.join(split['include'])}"] if split.get("include") else []
    said += [f"without the classes {', '.join(split['exclude'])}"] if split.get("exclude") else []
    return "; ".join(said)


def _drawn(split: Mapping[str, Any]) -> str:
    seed = f"with seed {split.get('seed', 'not recorded')}"
    order = "in the order of the paths" if split.get("ordered") else seed
    size = ""
    if split.get("per_class"):
        size = f", {counted(split['per_class'], 'image')} of each for the train set"
    elif split.get("test_size"):
        size = f", {split['test_size'] * 100:.3g}% of each for the test set"
    kept = ", images of an earlier split on their sides" if split.get("kept") else ""
    return f"drawn in each class {order}{size}{kept}"


def calibration_in_words(recorded: object) -> str:
    """How scores became probabilities."""
    return _CALIBRATIONS.get(str(recorded), "not recorded" if recorded is None else str(recorded))


def versions_in_words(versions: object) -> str:
    """Libraries that fitted the classifier.

    Examples
    --------
    >>> versions_in_words({"numpy": "2.3.0", "scikit-learn": "1.7.1"})
    'numpy 2.3.0 and scikit-learn 1.7.1'
    """
    if not isinstance(versions, Mapping):
        return "not recorded"
    return " and ".join(f"{name} {version}" for name, version in versions.items())
