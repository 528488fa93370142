"""Graphs made ready for a quantiser, and layers put back."""

from __future__ import annotations

import pytest
from onnx import TensorProto

from fc7.models.common.errors import ProviderError, WeightsError
from fc7.models.graph.half import half
from fc7.models.graph.quantised import is_quantised, to_quantise, weighted_nodes
from tests.support.models.small_graphs import NODE, head, model, trunk


def test_convolutions_and_products_before_the_layer_are_quantised_and_those_behind_it_are_not() -> None:
    small = to_quantise(model([*trunk(), *head()]), "small")
    assert weighted_nodes(small, "prob") == ["conv_node", "fc_node"]
    assert weighted_nodes(small, "pool") == ["conv_node"]
    assert not is_quantised(small)


def test_a_product_of_two_maps_has_no_weights_to_quantise() -> None:
    squared = [*trunk(), NODE("MatMul", ["pool", "pool"], ["square"], "square_node")]
    assert weighted_nodes(to_quantise(model(squared, outputs=["square"]), "small"), "square") == ["conv_node"]


def test_nodes_without_names_or_with_one_name_are_told_apart_and_old_operator_sets_raised() -> None:
    nodes = [*trunk(), *head()]
    for node in nodes:
        node.name = "same" if node.op_type in ("Conv", "Gemm") else ""
    ready = to_quantise(model(nodes, opset=11), "small")
    names = [node.name for node in ready.graph.node]
    assert len(set(names)) == len(names) == len(nodes)
    assert all(names)
    assert ready.opset_import[0].version == 13


def test_half_precision_and_integers_are_refused_by_name() -> None:
    with pytest.raises(WeightsError, match=r"'mine' has weights of FLOAT16.*float32 was needed"):
        to_quantise(model(kind=TensorProto.FLOAT16), "mine")
    rounded = NODE("QuantizeLinear", ["data", "conv_b", "zero"], ["integers"])
    with pytest.raises(WeightsError, match=r"'mine' computes in integers already"):
        to_quantise(model([rounded, *trunk()], outputs=["pool"]), "mine")


def test_a_quantised_graph_is_not_put_into_half_precision() -> None:
    rounded = NODE("QuantizeLinear", ["data", "conv_b"], ["integers"])
    with pytest.raises(ProviderError, match=r"8-bit integers were found.*--precision fp32"):
        half(model([rounded, *trunk()], outputs=["pool"]))
