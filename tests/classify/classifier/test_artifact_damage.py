"""A classifier.onnx that is damaged, foreign or tampered with is refused by name; nothing is half read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fc7.classify.classifier.artifact import _checksum, load_classifier, save_classifier
from fc7.models.common.errors import ClassifierError
from tests.support.classify.blobs import blobs, fitted


@pytest.mark.parametrize("content", [b"", b"not onnx at all", b"\x00" * 100, b"\x08\x08" * 50])
def test_what_is_no_onnx_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.onnx"
    path.write_bytes(content)
    with pytest.raises(ClassifierError):
        load_classifier(path)


def test_a_cut_off_file_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    data = save_classifier(fitted(), tmp_path / "c.onnx").read_bytes()
    short = tmp_path / "short.onnx"
    for length in range(0, len(data), 97):
        short.write_bytes(data[:length])
        with pytest.raises(ClassifierError):
            load_classifier(short)


def test_no_flipped_bit_changes_an_answer_unseen(tmp_path: Path) -> None:
    classifier = fitted()
    data = save_classifier(classifier, tmp_path / "c.onnx").read_bytes()
    X, _ = blobs([5] * 4, 30)
    expected = classifier.predict_proba(X)
    path = tmp_path / "flipped.onnx"
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(0, len(data), 300):
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            loaded = load_classifier(path)
        except ClassifierError:
            refused += 1
        else:
            # What may change unseen is what nobody computes with: the producer's name, a value's name.
            assert (loaded.classes_, loaded.identity) == (classifier.classes_, classifier.identity)
            np.testing.assert_array_equal(loaded.predict_proba(X), expected)
    assert refused > 250


def test_another_onnx_file_is_named_as_such(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g", [value("x", TensorProto.FLOAT, [1])], [value("y", TensorProto.FLOAT, [1])]
    )
    path = tmp_path / "network.onnx"
    onnx.save(helper.make_model(graph), path)
    with pytest.raises(ClassifierError, match="an ONNX file, but not a classifier of fc7 fit"):
        load_classifier(path)


def edit(path: Path, change: Any, *, resign: bool = True) -> Path:
    """Change the model; with the checksum made right again, so that the later checks are reached."""
    model = onnx.load(path)
    change(model)
    if resign:
        meta = {entry.key: entry.value for entry in model.metadata_props}
        arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer if t.raw_data}
        helper.set_model_props(model, {**meta, "checksum": _checksum(meta, arrays)})
    path.write_bytes(model.SerializeToString())
    return path


def set_meta(**values: str) -> Any:
    def change(model: onnx.ModelProto) -> None:
        meta = {entry.key: entry.value for entry in model.metadata_props}
        helper.set_model_props(model, {**meta, **values})

    return change


def set_array(name: str, array: np.ndarray) -> Any:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == name)
        tensor.CopyFrom(numpy_helper.from_array(array, name))

    return change


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def huge(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**31, 2**31]


def other_axis(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Softmax")
    node.attribute[0].i = 0


def extra_node(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Neg", ["scores"], ["other"]))


def other_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 12


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_meta(classes='["a", "b"]'), "coef has shape"),
        (set_meta(classes='["a", "a", "b", "c"]'), "4 classes, 3 of them different"),
        (set_meta(classes="{"), "damaged"),
        (set_meta(classes="[" * 100_000), "damaged"),
        (set_meta(head="forest"), "head 'forest'"),
        (set_meta(normalize="standard"), "damaged"),
        (set_meta(C="-1"), "not above 0"),
        (set_meta(trained="3"), "not of its kind"),
        (set_array("coef", np.full((4, 30), np.nan)), "coef holds NaN"),
        (set_array("scale", np.array(-1.0)), "not above 0"),
        (set_array("scale", np.ones(3)), "damaged"),
        (set_array("reject_below", np.array(2, np.float32)), "reject_below is not between 0 and 1"),
        (set_array("reject_below", np.array(0.5)), "'reject_below' is not float32"),
        (set_array("novelty_limit", np.array(0.0)), "novelty_limit is not above 0"),
        (set_array("novelty_mean", np.zeros(3, np.float32)), "novelty_mean has shape"),
        (set_array("novelty_axes", np.full((2, 30), np.inf, np.float32)), "novelty_axes holds NaN"),
        (set_array("one", np.array(3, np.float32)), "one is 3"),
        (set_array("coef", np.ones((4, 30), np.float32)), "'coef' is not float64"),
        (external, "is not float64 kept in the file"),
        (huge, "has not as many numbers"),
        (other_axis, "the graph is not the one we write"),
        (extra_node, "the graph is not the one we write"),
        (other_opset, "the graph is not the one we write"),
    ],
)
def test_a_file_that_was_tampered_with_is_refused(change: Any, reason: str, tmp_path: Path) -> None:
    path = save_classifier(fitted(), tmp_path / "c.onnx")
    with pytest.raises(ClassifierError, match=reason):
        load_classifier(edit(path, change, resign=change not in (external, huge)))


def test_weights_or_metadata_that_do_not_match_the_checksum_are_refused(tmp_path: Path) -> None:
    path = save_classifier(fitted(), tmp_path / "c.onnx")
    edit(path, set_meta(fingerprint="cd" * 32), resign=False)
    with pytest.raises(ClassifierError, match="not those that were written"):
        load_classifier(path)


@pytest.mark.parametrize(
    ("version", "reason"),
    [("4", "format version 4; this fc7 reads up to 3"), ("x", "damaged"), ("9" * 5000, "damaged")],
)
def test_a_newer_or_senseless_format_version_is_said(version: str, reason: str, tmp_path: Path) -> None:
    path = edit(save_classifier(fitted(), tmp_path / "c.onnx"), set_meta(format_version=version))
    with pytest.raises(ClassifierError, match=reason):
        load_classifier(path)
