"""An image for which the network gives NaN or infinity is that image's failure, and nothing else's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.reader import load_features
from fc7.extract.cache.verify import verify
from fc7.extract.cache.writer import CacheWriter
from fc7.extract.clock import Clock
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.records import Failure, Features, Pixels, Rows
from fc7.extract.worker.stream import Decoding, feature_blocks
from fc7.models.store import store
from tests.support import SIDE, CommandLine, lines_of, read_json, write_pictures
from tests.support.fakes import MeanNetwork, MemoryOrigin, decode_first_byte


def dark_gives_nan(path: Path) -> Path:
    """An ONNX file of 12 features that are square roots, of negative numbers if the picture is black."""
    arrays = {
        "w": np.random.default_rng(3).uniform(0, 1 / 3072, (12, 3 * SIDE * SIDE)),
        "brighter": np.full(12, 40),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w", "brighter"], ["brightness"], transB=1),
            helper.make_node("Sqrt", ["brightness"], ["embedding"]),
        ],
        "dark",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 12])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in arrays.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    cli = CommandLine(tmp_path_factory.mktemp("dark"))
    file = dark_gives_nan(cli.folder / "dark.onnx")
    cli.good("models", "import", file, "--as", "dark", "--preprocess", "caffe", "--layer", "embedding")
    return cli


@pytest.fixture(scope="module")
def extracted(cli: CommandLine) -> Path:
    """A folder whose second picture is black, and ``features.h5`` of it."""
    folder = write_pictures(cli.folder / "imgs", 6)
    Image.new("RGB", (40, 40)).save(folder / "red" / "001.png")
    return folder


def test_the_image_fails_by_name_and_its_neighbours_have_their_rows(
    cli: CommandLine, extracted: Path
) -> None:
    ran = cli.incomplete("extract", extracted, "--network", "dark", "-o", "all.h5", "-b", "4")
    assert "skipped red/001.png: the network gave NaN or infinity for it" in ran.text
    assert "18 images, 17 rows, 1 failure" in ran.text
    found = load_features(cli.folder / "all.h5")
    assert np.isfinite(found.X).all()
    assert "red/001.png" not in found.paths
    assert len(found.paths) == len(found.y) == 17

    (extracted / "red" / "001.png").rename(cli.folder / "black.png")
    cli.good("extract", extracted, "--network", "dark", "-o", "without.h5")
    (cli.folder / "black.png").rename(extracted / "red" / "001.png")
    np.testing.assert_allclose(found.X, load_features(cli.folder / "without.h5").X, rtol=1e-6)

    again = read_json(cli.incomplete("extract", extracted, "--network", "dark", "-o", "all.h5", "--json").out)
    assert (again["written"], again["engine"], len(again["failures"])) == (False, None, 1)


def test_classify_writes_an_error_line_for_it_and_answers_for_the_rest(
    cli: CommandLine, extracted: Path
) -> None:
    cli.incomplete("extract", extracted, "--network", "dark", "-o", "fit.h5")
    cli.good("fit", "--force", "fit.h5", "--svm", "-o", "dark.onnx.h")
    ran = cli("classify", extracted / "red", "-m", "dark.onnx.h", "-o", "dark.csv")
    assert ran.code == 1
    lines = {line["path"]: line for line in lines_of(cli.folder / "dark.csv")}
    assert len(lines) == 6
    black = next(line for path, line in lines.items() if path.endswith("001.png"))
    assert "NaN or infinity" in black["error"]
    assert not black["label"]
    assert all(line["label"] and not line["error"] for line in lines.values() if line is not black)


def test_old_rows_of_nan_are_found_by_verify_kept_from_classify_and_redone_by_repair(
    cli: CommandLine, extracted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (extracted / "red" / "001.png").unlink()
    cli.good("extract", extracted, "--network", "dark", "-o", "old.h5")
    cli.good("fit", "--force", "old.h5", "--svm", "-o", "old.onnx")
    before = load_features(cli.folder / "old.h5")
    monkeypatch.setenv("FC7_HOME", str(cli.store))
    plant_nan(cli.folder / "old.h5", extracted, "blue/002.png")

    report = verify(cli.folder / "old.h5")
    assert not report.ok
    assert len(report.problems) == 1
    assert "blue/002.png: its embedding holds NaN or infinity" in report.problems[0]
    assert cli("cache", "verify", "old.h5").code == 1

    classified = cli("classify", "old.h5", "-m", "old.onnx", "-o", "old.csv")
    assert classified.code == 1
    errors = {line["path"]: line["error"] for line in lines_of(cli.folder / "old.csv")}
    assert [path for path, error in errors.items() if error] == ["blue/002.png"]
    refused = cli("fit", "--force", "old.h5", "--svm", "-o", "new.onnx")
    assert refused.code == 2
    assert "'blue/002.png' first; extract --repair redoes such rows" in refused.err

    ran = cli.good("extract", extracted, "--network", "dark", "-o", "old.h5", "--repair")
    assert "1 damaged row of layer embedding will be redone" in ran.text
    assert verify(cli.folder / "old.h5").ok
    np.testing.assert_allclose(load_features(cli.folder / "old.h5").X, before.X, rtol=1e-6)


def plant_nan(cache: Path, folder: Path, path: str) -> None:
    """Give one row the features that an earlier fc7 would have kept, NaN among them."""
    listing = list_inputs([folder])
    (ref,) = (ref for ref in listing.images if ref.path == path)
    features = load_features(cache).X[:1].copy()
    features[0, 3] = np.nan
    identity = CacheIdentity.of(store.load("dark").spec)
    with CacheWriter(cache, identity, layers=["embedding"]) as writer:
        writer.write_segment(Rows([ref], ["0" * 64], {"embedding": features}))
        writer.commit(listing.images, listing.failures, roots=listing.roots)


class NanForSome(MeanNetwork):
    """Infinity in the last layer for an image whose pixels are 7."""

    def run(self, images: Pixels) -> dict[str, Features]:
        found = super().run(images)
        found[self.layers[-1]][images.reshape(len(images), -1)[:, 0] == 7, 1] = np.inf
        return found


def test_one_layer_of_several_is_enough_and_a_batch_may_fail_whole() -> None:
    origin = MemoryOrigin({f"{i}": bytes([value]) for i, value in enumerate([1, 7, 7, 7, 2, 7, 3])})
    network = NanForSome(batch_size=3, layers=("fc6", "fc7"))
    rows: dict[str, float] = {}
    failures: list[Failure] = []
    for block in feature_blocks(
        origin.refs(), Decoding(decode_first_byte, 1), lambda: network, clock=Clock()
    ):
        rows |= dict(zip([ref.path for ref in block.refs], block.features["fc6"][:, 0].tolist(), strict=True))
        assert len(block.sha256) == len(block.refs)
        failures += block.failures
    assert rows == {"0": 1.0, "4": 2.0, "6": 3.0}
    assert [failure.path for failure in failures] == ["1", "2", "3", "5"]
    assert {(failure.size, failure.mtime_ns) for failure in failures} == {(1, 1)}
