"""A network is tried before it enters the store: each fault is refused with its reason, nothing else is."""

from __future__ import annotations

import dataclasses
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto
from PIL import Image
from typer.testing import CliRunner

import fc7.extract
from fc7.cli import application
from fc7.extract import ExtractOptions, extract_features
from fc7.extract.engine.openvino_session import OpenVinoSession
from fc7.extract.engine.session import open_session
from fc7.extract.engine.trial import pictures, plain
from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import WeightSource
from fc7.models.common.errors import DownloadError, UsageError, WeightsError
from fc7.models.store import importing, store
from fc7.models.store.importing import ImportOptions
from tests.support import CommandLine, tiny_network
from tests.support.models.reference import caffe_input, conv, lrn, relu
from tests.support.models.small_graphs import NODE, PLAIN, SIZE, model, trunk, weights, write
from tests.support.models.web_server import serving

F4 = np.float32


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with an empty store, that of `CommandLine` and of this process."""
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    return tmp_path


def behind_pool(*nodes: NodeProto, batch: int | str = "N", opset: int = 13, **arrays: Any) -> ModelProto:
    """``pool`` (4, 4, 4) and more nodes, the last of which gives ``out``."""
    return model(
        [*trunk(), *nodes],
        shape=(batch, 3, SIZE, SIZE),
        outputs=["out"],
        arrays={name: np.asarray(value) for name, value in arrays.items()},
        opset=opset,
    )


def minus_the_mean_of_the_batch(batch: int | str = "N") -> ModelProto:
    mean = NODE("ReduceMean", ["pool"], ["mean"], "centre", axes=[0], keepdims=1)
    return behind_pool(mean, NODE("Sub", ["pool", "mean"], ["out"]), batch=batch)


def noisy(op: str, **settings: Any) -> ModelProto:
    noise = NODE(op, ["pool"], ["drawn"], "noise", **settings)
    return behind_pool(noise, NODE("Add", ["pool", "drawn"], ["out"]))


# A graph, and what is said of it.
FAULTS: dict[str, tuple[ModelProto, str]] = {
    "an operator that no engine has": (
        behind_pool(NODE("Cast", ["pool"], ["wide"], to=TensorProto.DOUBLE), NODE("Elu", ["wide"], ["out"])),
        r"ONNX Runtime \S+ refuses network 'net'.*Elu.*; export it in float32 with ONNX's own operators",
    ),
    "a step that fails": (
        behind_pool(NODE("Gather", ["pool", "far"], ["out"], axis=1), far=[0, 99]),
        r"network 'net' cannot be run: \S+ failed: .*out of data bounds",
    ),
    "NaN": (
        behind_pool(NODE("Neg", ["pool"], ["minus"]), NODE("Log", ["minus"], ["out"])),
        r"layer 'out' has NaN or infinite numbers",
    ),
    "infinity": (
        behind_pool(NODE("Mul", ["pool", "much"], ["large"]), NODE("Exp", ["large"], ["out"]), much=F4(1e3)),
        r"layer 'out' has NaN or infinite numbers",
    ),
    "one vector for all": (
        behind_pool(NODE("Clip", ["pool", "least"], ["out"]), least=F4(1e6)),
        r"layer 'out' is one and the same vector for every picture that was tried; .* another layer with",
    ),
    "nothing but zeros": (
        behind_pool(NODE("Mul", ["pool", "none"], ["out"]), none=F4(0)),
        r"layer 'out' is one and the same vector",
    ),
    "the mean of the batch": (
        minus_the_mean_of_the_batch(),
        r"layer 'out' depends on the batch: .*% of their length .*\(ReduceMean 'centre' over axis 0\)",
    ),
    "the mean of a fixed batch of two": (
        minus_the_mean_of_the_batch(2),
        r"layer 'out' depends on the batch: .*\(ReduceMean 'centre' over axis 0\)",
    ),
    "the maximum of the batch": (
        behind_pool(NODE("ReduceMax", ["pool"], ["top"], "top"), NODE("Div", ["pool", "top"], ["out"])),
        r"depends on the batch: .*\(ReduceMax 'top' over axis 0\)",
    ),
    "a number for each place in a fixed batch": (
        behind_pool(
            NODE("Add", ["pool", "own"], ["out"]), batch=2, own=np.arange(2, dtype=F4).reshape(2, 1, 1, 1)
        ),
        r"layer 'out' depends on the batch: ",
    ),
    "noise": (
        noisy("RandomNormalLike"),
        r"layer 'out' draws at random: .*% of their length away \(RandomNormalLike 'noise'\)\. .*inference",
    ),
    "noise with a seed": (noisy("RandomUniformLike", seed=7.0), r"\(RandomUniformLike 'noise'\)"),
    "draws with the picture's own chances": (
        behind_pool(
            NODE("Sigmoid", ["pool"], ["chance"]), NODE("Bernoulli", ["chance"], ["out"], "coin"), opset=15
        ),
        r"draws at random: .*\(Bernoulli 'coin'\)",
    ),
    "dropout left on": (
        behind_pool(NODE("Dropout", ["pool", "r", "on"], ["out"], "drop"), r=F4(0.5), on=np.array(True)),
        r"exported for training \(Dropout 'drop' is on\), .* at random; .*model\.eval\(\)",
    ),
}


def import_arguments(file: Path, layer: str) -> list[str]:
    return ["models", "import", str(file), "--as", "net", "--preprocess", "caffe", "--layer", layer]


def by_command(*arguments: str) -> str:
    """A command as cli.py puts it together, in this process; what it printed, or its error."""
    return CliRunner().invoke(application(), arguments, catch_exceptions=False).output


def import_by_command(file: Path, layer: str = "out") -> str:
    return by_command(*import_arguments(file, layer))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_network_with_a_fault_is_refused_with_the_reason(folder: Path, fault: str) -> None:
    made, reason = FAULTS[fault]
    with pytest.raises(WeightsError, match=reason):
        import_by_command(write(made, folder))
    assert list((folder / "store").rglob("network*.*")) == []


def test_a_refusal_is_one_message_and_exit_1_and_python_refuses_too(folder: Path) -> None:
    file = write(FAULTS["the mean of the batch"][0], folder)
    ran = CommandLine(folder)(*import_arguments(file, "out"))
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert ran.err.startswith("error: network 'net' cannot be used: layer 'out' depends on the batch")
    with pytest.raises(WeightsError, match="depends on the batch"):
        fc7.extract.import_network(file, "net", ImportOptions(preprocess=PLAIN, layer="out"))
    assert store.names() == []


def test_dynamic_quantisation_is_refused_and_static_is_not(folder: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_dynamic, quantize_static

    class Noise(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = 2

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            self.left -= 1
            drawn = np.random.default_rng(0).normal(0, 60, (1, 3, 32, 32)).astype(F4)
            return {"x": drawn} if self.left >= 0 else None

    made = tiny_network(folder / "tiny.onnx")
    quantize_dynamic(str(made), str(folder / "dynamic.onnx"))
    quantize_static(str(made), str(folder / "static.onnx"), Noise())
    with pytest.raises(
        WeightsError, match=r"depends on the batch.*DynamicQuantizeLinear 'x\w*' with one scale"
    ):
        import_by_command(folder / "dynamic.onnx", "embedding")
    assert "imported" in import_by_command(folder / "static.onnx", "embedding")


def test_what_looks_at_its_batch_is_kept_with_a_fixed_batch_of_one(folder: Path) -> None:
    """The way out that the refusal names."""
    from onnxruntime.tools.make_dynamic_shape_fixed import make_input_shape_fixed

    mean = NODE("ReduceMean", ["pool"], ["mean"], "centre", axes=[0, 2, 3], keepdims=1)
    made = behind_pool(mean, NODE("Sub", ["pool", "mean"], ["out"]))
    make_input_shape_fixed(made.graph, "data", [1, 3, SIZE, SIZE])
    assert "bound to batches of 1" in import_by_command(write(made, folder))


def test_a_layer_with_other_rows_than_images_is_a_wrong_call(folder: Path) -> None:
    """Windows of an image, as Swin's: the graph does not say how many rows they are."""
    windows = NODE("Reshape", ["pool", "to"], ["out"])
    file = write(behind_pool(windows, to=[-1, 2, 4, 4]), folder)
    with pytest.raises(UsageError, match=r"layer 'out' has 2 rows for 1 images.*choose another layer"):
        import_by_command(file)
    # It is no reason to refuse the network, and whoever asks for these rows later is told the same.
    import_by_command(file, "pool")
    Image.fromarray(pictures(40, 40)[0]).save(folder / "a.png")
    with pytest.raises(UsageError, match="choose another layer"):
        extract_features([folder / "a.png"], folder / "f.h5", ExtractOptions(network="net", layers=("out",)))


def test_a_network_that_is_blind_to_smooth_colours_alone_is_kept(folder: Path) -> None:
    """Its features are 0 but where `pool` is larger than for any of the three first pictures."""
    import_by_command(write(behind_pool(NODE("Identity", ["pool"], ["out"])), folder))
    known = store.load("net")
    session = open_session(known.graph_path, known.spec, ["out"])
    height, width = known.spec.preprocess.crop_height, known.spec.preprocess.crop_width
    smooth, others = (session.run(shown(height, width))["out"].max() for shown in (pictures, plain))
    assert others > smooth
    made = behind_pool(
        NODE("Sub", ["pool", "most"], ["above"]), NODE("Relu", ["above"], ["out"]), most=F4(smooth)
    )
    store.remove("net")
    assert "imported" in import_by_command(write(made, folder))


def test_class_scores_that_are_all_the_same_are_worth_a_line(folder: Path) -> None:
    made = behind_pool(
        NODE("Flatten", ["pool"], ["flat"]),
        NODE("Gemm", ["flat", "w"], ["same"]),
        NODE("Softmax", ["same"], ["out"], axis=1),
        w=np.zeros((64, 1000), F4),
    )
    assert "net: three different pictures give the same 'out'; " in import_by_command(
        write(made, folder), "pool"
    )


def test_a_fault_behind_the_layer_that_is_used_is_met_when_it_is_asked_for(folder: Path) -> None:
    import_by_command(write(FAULTS["noise"][0], folder), "pool")
    for i, picture in enumerate(pictures(40, 40)):
        Image.fromarray(picture).save(folder / f"{i}.png")
    options = ExtractOptions(network="net")
    assert extract_features([folder], folder / "f.h5", options).rows == 3
    with pytest.raises(WeightsError, match="layer 'out' draws at random"):
        extract_features([folder], folder / "g.h5", dataclasses.replace(options, layers=("out",)))


def test_verify_run_tries_a_network_that_no_import_tried(folder: Path) -> None:
    file = write(FAULTS["noise"][0], folder)
    importing.import_network(file, "old", ImportOptions(preprocess=PLAIN, layer="out"))
    importing.import_network(file, "good", ImportOptions(preprocess=PLAIN, layer="pool"))
    assert by_command("models", "verify", "old") == "old: every file is as it was saved\n"
    with pytest.raises(WeightsError, match="draws at random"):
        by_command("models", "verify", "old", "--run")
    said = by_command("models", "verify", "good", "--run")
    assert "good: three pictures have the same features alone, once more and in a batch" in said


def test_a_network_that_extract_fetches_is_tried_as_well(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    data = write(FAULTS["NaN"][0], folder).read_bytes()
    Image.fromarray(pictures(40, 40)[0]).save(folder / "a.png")
    with serving() as server:
        digest = hashlib.sha256(data).hexdigest()
        source = WeightSource((server.add("/net.onnx", data),), "net.onnx", len(data), digest)
        entry = dataclasses.replace(
            catalog.entry("alexnet"), arch="onnx", sources=(source,), preprocess=PLAIN, default_layer="out"
        )
        monkeypatch.setattr("fc7.models.catalog.catalog.NETWORKS", (entry, *catalog.NETWORKS[1:]))
        with pytest.raises(
            DownloadError, match="fetched, but: network 'alexnet' cannot be used: layer 'out'"
        ):
            extract_features([folder / "a.png"], folder / "f.h5")
    assert store.names() == []


@pytest.mark.parametrize(
    ("kind", "settings", "tolerance"),
    [
        # Weights, pixels and responses are rounded to 11 bits each.
        (TensorProto.FLOAT16, {"size": 5}, 5e-3),
        (TensorProto.FLOAT, {"size": 4, "alpha": 1e-3, "beta": 0.5, "bias": 2.0}, 1e-5),
    ],
    ids=["half precision", "even size"],
)
def test_lrn_in_half_precision_and_of_even_size_gives_right_features(
    folder: Path, kind: int, settings: dict[str, Any], tolerance: float
) -> None:
    """Import and extract by the command line, against NumPy in float64 from the pixels on."""
    nodes = [*trunk()[:1], NODE("Mul", ["conv", "forty"], ["large"]), NODE("Relu", ["large"], ["relu"])]
    nodes.append(NODE("LRN", ["relu"], ["norm"], **settings))
    forty = np.array(40, F4 if kind == TensorProto.FLOAT else np.float16)
    made = model(nodes, kind=kind, outputs=["norm"], arrays={"forty": forty})
    here = CommandLine(folder)
    here.good(*import_arguments(write(made, folder), "norm"))
    # Of the size that the recipe resizes to, 256/224 of the crop: that is cut out as it is.
    side = round(SIZE * 256 / 224)
    start = (side - SIZE) // 2
    shown = np.random.default_rng(8).integers(0, 256, (2, side, side, 3), np.uint8)
    for i, picture in enumerate(shown):
        Image.fromarray(picture).save(folder / f"{i}.png")
    here.good("extract", "0.png", "1.png", "--network", "net")
    held = weights()
    crop = caffe_input(shown[:, start : start + SIZE, start : start + SIZE])
    large = relu(40 * conv(crop, held["conv_w"], held["conv_b"], pad=1))
    assert large.max() ** 2 > 65504
    names = {"size": "n", "bias": "k"}
    wanted = lrn(large, **{names.get(name, name): value for name, value in settings.items()}).reshape(2, -1)
    with h5py.File(folder / "features.h5") as cache:
        found = cache["features/norm"][:]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * wanted.max())


def test_from_python_paths_and_presets_may_be_texts(folder: Path) -> None:
    file = tiny_network(folder / "tiny.onnx")
    stored = fc7.extract.import_network(
        str(file), "mine", ImportOptions(layer="embedding", preprocess="torch")
    )
    assert stored.spec.preprocess.channel_order == "RGB"
    assert stored.spec.preprocess.scale == pytest.approx(1 / 255)
    with pytest.raises(UsageError, match=r"no preset 'pytorch': there are .*torch"):
        fc7.extract.import_network(str(file), "other", ImportOptions(layer="embedding", preprocess="pytorch"))


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
@pytest.mark.usefixtures("every_device")
@pytest.mark.parametrize("fault", ["a step that fails", "NaN", "one vector for all", "the mean of the batch"])
def test_openvino_lets_no_fault_pass_that_the_cpu_provider_meets(folder: Path, fault: str) -> None:
    """It gives zeros where an index is out of bounds."""
    made, reason = FAULTS[fault]
    with pytest.raises(WeightsError, match=reason):
        import_by_command(write(made, folder))


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
@pytest.mark.usefixtures("every_device")
def test_a_graph_that_openvino_reads_otherwise_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = OpenVinoSession.run
    monkeypatch.setattr(
        OpenVinoSession, "run", lambda self, *asked: [rows[:, ::-1] for rows in inner(self, *asked)]
    )
    good = write(behind_pool(NODE("Identity", ["pool"], ["out"])), folder)
    with pytest.raises(WeightsError, match=r"OpenVINO gives features .* FC7_DEVICE=cpu"):
        import_by_command(good)
    monkeypatch.setenv("FC7_DEVICE", "cpu")
    assert "imported" in import_by_command(good)
