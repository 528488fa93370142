"""The border to ONNX Runtime on small networks: batches, types, layouts, messages."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fc7.extract.engine.session import open_session
from fc7.extract.options import RunOptions
from fc7.models.common.errors import ProviderError, UnknownLayerError, UsageError, WeightsError
from fc7.models.graph.files import save_graph
from fc7.models.graph.layers import layers_of
from fc7.models.network.spec import NetworkSpec, PreprocessSpec, torch_preprocess

PLAIN = PreprocessSpec("warp", 4, 4, 4, 4, "RGB")


def network(
    folder: Path,
    *,
    preprocess: PreprocessSpec = PLAIN,
    batch: int | str = "n",
    kind: int = TensorProto.FLOAT,
    channels_last: bool = False,
    opset: int = 17,
) -> tuple[Path, NetworkSpec]:
    """``map`` = input + 0 (an identity that is computed), ``mean`` = its mean over pixels."""
    shape = [batch, 4, 4, 3] if channels_last else [batch, 3, 4, 4]
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes = [helper.make_node("Add", ["x", "zero"], ["map"])]
    if not channels_last:
        nodes.append(helper.make_node("GlobalAveragePool", ["map"], ["mean"]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], kind, None)],
        [numpy_helper.from_array(np.zeros(1, dtype), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    spec = NetworkSpec("small", "onnx", preprocess, tuple(layers_of(model)), "map")
    save_graph(model, folder)
    return folder / "network.onnx", spec


def images(n: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)


def test_pixels_arrive_as_rgb_planes(tmp_path: Path) -> None:
    x = images(3)
    session = open_session(*network(tmp_path), ["map"], RunOptions(device="cpu", batch_size=4))
    np.testing.assert_array_equal(session.run(x)["map"], x.transpose(0, 3, 1, 2).reshape(3, -1))


def test_the_arithmetic_of_torchvision_is_done_in_the_graph(tmp_path: Path) -> None:
    x = images(2)
    path, spec = network(tmp_path, preprocess=torch_preprocess(4, 4))
    found = open_session(path, spec, ["map"], RunOptions(device="cpu")).run(x)["map"]
    wanted = (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(found, wanted.transpose(0, 3, 1, 2).reshape(2, -1), rtol=1e-5, atol=1e-6)


def test_bgr_and_each_images_own_mean(tmp_path: Path) -> None:
    x = images(2)
    path, spec = network(tmp_path, preprocess=PreprocessSpec("warp", 4, 4, 4, 4, "BGR", image_mean=True))
    found = open_session(path, spec, ["map"], RunOptions(device="cpu")).run(x)["map"]
    wanted = (x - x.reshape(2, -1).mean(1)[:, None, None, None])[..., ::-1]
    np.testing.assert_allclose(found, wanted.transpose(0, 3, 1, 2).reshape(2, -1), rtol=1e-5, atol=1e-4)


def test_a_row_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    x = images(7)
    session = open_session(*network(tmp_path), ["map", "mean"], RunOptions(device="cpu", batch_size=7))
    whole = session.run(x)
    for i in range(7):
        for layer in ("map", "mean"):
            np.testing.assert_array_equal(session.run(x[i : i + 1])[layer][0], whole[layer][i])


def test_a_layer_with_other_rows_than_images_is_no_features(tmp_path: Path) -> None:
    """Two windows of each image: their count is as unknown to the graph as that of the images."""
    path, spec = network(tmp_path)
    model = onnx.load(str(path))
    model.graph.node.append(helper.make_node("Reshape", ["map", "to"], ["windows"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 3, 2, 4]), "to"))
    path.write_bytes(model.SerializeToString())
    session = open_session(
        path, replace(spec, layers=tuple(layers_of(model))), ["windows"], RunOptions(device="cpu")
    )
    with pytest.raises(UsageError, match="layer 'windows' has 6 rows for 3 images"):
        session.run(images(3))


def test_the_cpu_runs_no_more_images_than_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(*network(tmp_path), ["map"], RunOptions(device="cpu", batch_size=8))
    seen: list[int] = []
    inner = session.engine.run

    def watched(outputs: list[str], feeds: dict[str, Any]) -> list[Any]:
        seen.extend(len(value) for value in feeds.values())
        return inner(outputs, feeds)

    monkeypatch.setattr(session.engine, "run", watched)
    for n in (1, 8, 3):
        assert len(session.run(images(n))["map"]) == n
    monkeypatch.setattr(session.engine, "any_batch", False)
    assert len(session.run(images(3))["map"]) == 3
    assert seen == [1, 8, 3, 8]


def test_a_default_batch_is_not_larger_than_what_there_is_to_run(tmp_path: Path) -> None:
    path, spec = network(tmp_path)

    def size(n_images: int | None, batch_size: int | None = None) -> int:
        session = open_session(
            path, spec, ["map"], RunOptions(device="cpu", batch_size=batch_size, threads=1), n_images=n_images
        )
        return session.batch_size

    assert (size(1), size(5000), size(None)) == (1, 16, 16)
    assert (size(1, batch_size=8), size(1, batch_size=100)) == (8, 100)


def test_few_images_are_shared_out_among_the_calls(tmp_path: Path) -> None:
    path, spec = network(tmp_path)
    sessions = [
        open_session(path, spec, ["map"], RunOptions(device="cpu", threads=4), n_images=n)
        for n in (1, 2, 9, 20, 5000)
    ]
    assert [session.batch_size for session in sessions] == [1, 1, 5, 10, 16]
    assert {session.calls_at_once for session in sessions} == {2}
    assert open_session(path, spec, ["map"], RunOptions(device="cpu", threads=1)).calls_at_once == 1


def test_two_calls_at_once_give_what_one_gives(tmp_path: Path) -> None:
    session = open_session(*network(tmp_path), ["map"], RunOptions(device="cpu", batch_size=4, threads=2))
    batches = [images(4, seed) for seed in range(20)]
    alone = [session.run(batch)["map"] for batch in batches]
    with ThreadPoolExecutor(session.calls_at_once) as pool:
        together = list(pool.map(lambda batch: session.run(batch)["map"], batches))
    np.testing.assert_array_equal(np.stack(together), np.stack(alone))


def test_a_graph_with_a_fixed_batch_keeps_it(tmp_path: Path) -> None:
    path, spec = network(tmp_path, batch=1)
    session = open_session(path, spec, ["map"], RunOptions(device="cpu"))
    assert session.batch_size == 1
    with pytest.raises(ProviderError, match="bound to batches of 1"):
        open_session(path, spec, ["map"], RunOptions(device="cpu", batch_size=8))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.UINT8])
def test_inputs_of_other_types_give_float32_features(tmp_path: Path, kind: int) -> None:
    if kind == TensorProto.UINT8:
        path, spec = uint8_network(tmp_path)
    else:
        path, spec = network(tmp_path, kind=kind)
    x = images(2)
    found = open_session(path, spec, ["map"], RunOptions(device="cpu")).run(x)["map"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, x.transpose(0, 3, 1, 2).reshape(2, -1))


def uint8_network(folder: Path) -> tuple[Path, NetworkSpec]:
    """A network that does its own arithmetic on pixels."""
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["map"], to=TensorProto.FLOAT)],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save_graph(model, folder)
    spec = NetworkSpec("small", "onnx", torch_preprocess(4, 4), tuple(layers_of(model)), "map")
    return folder / "network.onnx", spec


def test_a_channels_last_network_is_fed_channels_last(tmp_path: Path) -> None:
    x = images(2)
    path, spec = network(tmp_path, channels_last=True)
    found = open_session(path, spec, ["map"], RunOptions(device="cpu")).run(x)["map"]
    np.testing.assert_array_equal(found, x.reshape(2, -1))


@pytest.mark.parametrize("opset", [7, 11, 13])
def test_old_opsets_run(tmp_path: Path, opset: int) -> None:
    x = images(2)
    path, spec = network(tmp_path, opset=opset, preprocess=torch_preprocess(4, 4))
    assert open_session(path, spec, ["mean"], RunOptions(device="cpu")).run(x)["mean"].shape == (2, 3)


def test_cuda_is_refused_where_there_is_none(tmp_path: Path) -> None:
    from fc7.extract.engine.engine import nvidia_driver

    if nvidia_driver():
        pytest.skip("this machine has an NVIDIA driver")
    with pytest.raises(ProviderError, match="--device cpu"):
        open_session(*network(tmp_path), ["map"], RunOptions(device="cuda"))


def test_auto_says_in_one_line_what_it_chose(tmp_path: Path) -> None:
    engine = open_session(*network(tmp_path), ["map"]).engine
    assert "\n" not in engine.why
    assert engine.provider.removesuffix("ExecutionProvider") in ("CPU", "CUDA", "OpenVINO")


def test_an_unknown_layer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownLayerError, match=r"no layer 'fc7'; it has map, mean"):
        open_session(*network(tmp_path), ["fc7"])


def test_a_graph_the_engine_refuses_is_a_message(tmp_path: Path) -> None:
    path, spec = network(tmp_path)
    model = onnx.load(str(path))
    model.graph.node[0].op_type = "NoSuchOperator"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match="refuses network 'small'"):
        open_session(path, spec, ["map"], RunOptions(device="cpu"))
