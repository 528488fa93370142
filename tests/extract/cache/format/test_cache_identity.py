"""Another network, layer set or preprocessing never mixes in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.reader import load_features
from fc7.extract.records import Rows
from fc7.models.common.errors import CacheCorruptError, MismatchError, UnknownLayerError, UsageError
from fc7.models.network.spec import LayerSpec, NetworkSpec, caffe_preprocess, torch_preprocess
from tests.support.extract.cache_support import (
    CrashError,
    Image,
    block,
    check_plainly,
    identity,
    refs,
    run,
    sha,
    write,
    writer,
)

FOLDER = {f"{i}.jpg": Image(f"content {i}") for i in range(4)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    run(tmp_path / "features.h5", FOLDER)
    return tmp_path / "features.h5"


def message(path: Path, other: CacheIdentity, layers: tuple[str, ...] = ("fc7",)) -> str:
    """Why a run is refused; the file is untouched by it."""
    before = path.read_bytes()
    with pytest.raises(MismatchError) as caught, writer(path, layers, identity=other):
        pytest.fail("it was let in")
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["features.h5"]
    return str(caught.value)


def test_another_network_is_refused_by_name(path: Path) -> None:
    told = message(path, identity(network="googlenet", weights="v"))
    assert told.startswith(f"{path} was made with network 'alexnet', not 'googlenet'; ")
    assert "choose another -o" in told
    assert "--force" in told


def test_another_preprocessing_is_refused_field_by_field(path: Path) -> None:
    told = message(path, identity(preprocess=torch_preprocess()))
    assert "preprocessing crop_height=227, not 224" in told
    assert "preprocessing channel_order=BGR, not RGB" in told
    assert "antialias" not in told
    assert "network" not in told.split(path.name)[1]


def test_other_weights_of_the_same_name_are_refused(path: Path) -> None:
    assert "other weights under the same name" in message(path, identity(weights="retrained"))


def test_the_same_weights_under_another_name_are_welcome(path: Path) -> None:
    before = path.read_bytes()
    result = run(path, FOLDER, identity=identity(network="my own copy"))
    assert (result.extracted, result.commit.written) == ([], False)
    assert path.read_bytes() == before


def test_layers_that_cannot_be_compared_are_refused(path: Path) -> None:
    assert "layer fc7, not fc6" in message(path, identity(("fc6",)), ("fc6",))


def test_a_layer_that_this_run_cannot_add_to_is_named(path: Path) -> None:
    run(path, FOLDER, ("fc7", "fc6"))
    assert "also holds layer fc6" in message(path, identity(("fc7",)))


def test_a_layer_that_the_network_lacks_is_named(path: Path) -> None:
    with (
        pytest.raises(UnknownLayerError, match=r"no layer 'fc8'; it has pool5, fc6, fc7"),
        writer(path, ("fc8",)),
    ):
        pytest.fail("it was let in")


def test_adding_a_layer_computes_only_what_is_missing(path: Path) -> None:
    with writer(path, ("fc6",)) as cache:
        assert cache.layers_needed == ("fc6", "fc7")
        assert {row.layers for row in cache.known.values()} == {frozenset({"fc7"})}
        images = {name: image.content for name, image in FOLDER.items()}
        cache.write_segment(block(images, ("fc6",)))
        assert cache.commit(refs(FOLDER), [], roots=["imgs"]).written
    check_plainly(path, FOLDER, ("fc7", "fc6"))
    # The last in the order of the graph, whichever came first, is the one that is taken unasked.
    assert load_features(path).layer == "fc7"
    assert load_features(path, "fc6").X.shape == (4, 4)


def test_fewer_layers_than_there_are_keep_the_others(path: Path) -> None:
    run(path, FOLDER, ("fc7", "fc6"))
    before = path.read_bytes()
    assert not run(path, FOLDER, ("fc6",)).commit.written
    assert path.read_bytes() == before
    folder = {**FOLDER, "new.jpg": Image("new")}
    assert run(path, folder, ("fc6",)).extracted == ["new.jpg"]
    check_plainly(path, folder, ("fc7", "fc6"))


def test_a_moved_image_keeps_what_it_has_and_gets_what_it_lacks(path: Path) -> None:
    new = {"z.jpg": FOLDER["0.jpg"]}
    with writer(path, ("fc7", "fc6")) as cache:
        cache.write_segment(block(new, ("fc6",)))
        cache.commit(refs(new), [], roots=["imgs"], moved={"z.jpg": "0.jpg"})
    check_plainly(path, new, ("fc7", "fc6"))


def test_force_replaces_only_at_the_commit(path: Path) -> None:
    before = path.read_bytes()
    other = identity(network="googlenet", weights="v")
    with writer(path, identity=other, force=True) as cache:
        assert len(cache.known) == 0
        rows = Rows(refs({"a": "x"}), [sha("x")], {"fc7": np.ones((1, 3), np.float32)})
        cache.write_segment(rows)
        assert path.read_bytes() == before
        cache.commit(refs({"a": "x"}), [], roots=[])
    assert load_features(path).X.tolist() == [[1, 1, 1]]
    assert load_features(path).identity == other.only(["fc7"])


def test_force_begins_anew_even_with_the_same_network(path: Path) -> None:
    assert run(path, FOLDER, force=True).extracted == sorted(FOLDER)


def test_an_interrupted_forced_run_is_gone_on_with(path: Path) -> None:
    other = identity(network="googlenet", weights="v")
    with pytest.raises(CrashError):
        run(path, FOLDER, identity=other, force=True, crash_after=1)
    assert run(path, FOLDER, identity=other, force=True).extracted == sorted(FOLDER)[2:]


def test_segments_of_another_network_are_refused_or_dropped_with_force(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    with pytest.raises(CrashError):
        run(path, FOLDER, crash_after=1)
    other = identity(network="googlenet", weights="v")
    with pytest.raises(
        MismatchError, match=r"features\.h5\.work holds 2 finished rows of an interrupted run"
    ):
        run(path, FOLDER, identity=other)
    assert run(path, FOLDER).extracted == sorted(FOLDER)[2:]

    with pytest.raises(CrashError):
        run(path, {**FOLDER, "new": Image("new")}, crash_after=1)
    with writer(path, identity=other, force=True) as cache:
        assert "dropped 1 row of an interrupted run" in cache.notes[0]
        assert len(cache.known) == 0


def test_segments_of_layers_that_are_not_asked_for_are_named(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    with pytest.raises(CrashError):
        run(path, FOLDER, ("fc6",), crash_after=1)
    with writer(path, ("fc7",)) as cache:
        assert "holds 2 rows of layer fc6, which is not asked for" in cache.notes[0]
        assert len(cache.known) == 0
    run(path, FOLDER)
    check_plainly(path, FOLDER)
    assert [found.name for found in tmp_path.iterdir()] == ["features.h5"]


def test_what_is_no_cache_is_replaced_only_with_force(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.docx"
    precious.write_bytes(b"PK\x03\x04 years of work")
    with pytest.raises(UsageError, match=r"a zip archive .* stands there, and a feature cache was"):
        run(precious, FOLDER)
    assert precious.read_bytes() == b"PK\x03\x04 years of work"
    run(precious, FOLDER, force=True)
    check_plainly(precious, FOLDER)


def test_force_replaces_a_damaged_cache(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CacheCorruptError, match="--force makes it anew"):
        run(path, FOLDER)
    assert path.read_bytes() == whole[: len(whole) // 2]
    run(path, FOLDER, force=True)
    check_plainly(path, FOLDER)


def test_a_network_of_the_store_gives_its_identity() -> None:
    spec = NetworkSpec(
        name="net",
        arch="onnx",
        preprocess=caffe_preprocess(),
        layers=(LayerSpec("map", "map_out", (8, 6, 6), "d1"), LayerSpec("vec", "vec_out", (16,), "d2")),
        default_layer="vec",
        pool="avg",
    )
    found = CacheIdentity.of(spec)
    assert found.dims == {"map": 8, "vec": 16}
    assert found.fingerprints == {"map": spec.fingerprint("map"), "vec": spec.fingerprint("vec")}
    assert found.only(["vec"]).fingerprint == spec.fingerprint("vec")
    flat = CacheIdentity.of(dataclasses.replace(spec, pool="flatten"))
    assert flat.differences(found.only(["vec"])) == []
    assert "pool 'avg', not 'flatten'" in flat.differences(found.only(["map"]))


def test_a_cache_of_one_run_is_no_different_from_one_that_grew(path: Path) -> None:
    grown = path.with_name("grown.h5")
    half = dict(list(FOLDER.items())[:2])
    run(grown, half)
    run(grown, FOLDER)
    assert grown.read_bytes() == path.read_bytes()
    write(grown, {"other": "x"})
    assert grown.read_bytes() != path.read_bytes()
