"""The store: whole networks or none, readable when copied, clear when damaged."""

from __future__ import annotations

import dataclasses
import shutil
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fc7.models.common.errors import Fc7Error, UnknownNetworkError, UsageError, WeightsError
from fc7.models.store import paths as store_paths
from fc7.models.store import store
from tests.support.models.fake_networks import fake_files, fake_spec


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def put(name: str, mark: str = "a", *, replace: bool = False) -> store.StoredNetwork:
    return store.save(fake_spec(name, mark), fake_files(mark), replace=replace)


def test_what_is_saved_is_what_is_loaded(root: Path) -> None:
    assert store.names() == []
    saved = put("mine")
    assert store.load("mine") == saved
    assert saved.spec == fake_spec("mine")
    assert saved.graph_path.read_bytes() == b"graph a"
    assert saved.folder == root / "networks" / "mine"
    assert sorted(path.name for path in saved.folder.iterdir()) == [
        "CRC32SUMS",
        "SHA256SUMS",
        "network.json",
        "network.onnx",
        "network.weights",
    ]
    assert saved.size == sum(path.stat().st_size for path in saved.folder.iterdir())
    assert [path.name for path in saved.folder.parent.iterdir()] == ["mine"]


def test_a_taken_name_is_refused_and_the_network_stays(root: Path) -> None:
    put("mine", "a")
    with pytest.raises(UsageError, match="already; choose another name, or --replace"):
        put("mine", "b")
    with pytest.raises(UsageError, match="the same folder as 'MINE' on Windows"):
        put("MINE", "b", replace=True)
    assert store.load("mine").spec.source == "a"
    assert put("mine", "b", replace=True).spec.source == "b"
    assert store.load("mine").graph_path.read_bytes() == b"graph b"
    assert [path.name for path in (root / "networks").iterdir()] == ["mine"]


def test_a_writer_that_fails_leaves_nothing_and_its_error_comes_through(root: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "network.onnx").write_text("half")
        raise WeightsError("the weights do not fit")

    put("mine")
    with pytest.raises(WeightsError, match="do not fit"):
        store.save(fake_spec("mine", "b"), fails, replace=True)
    with pytest.raises(WeightsError, match="do not fit"):
        store.save(fake_spec("other"), fails, replace=False)
    assert [path.name for path in (root / "networks").iterdir()] == ["mine"]
    store.verify("mine")


def test_an_unknown_network_is_told_what_there_is_and_the_ways_out() -> None:
    with pytest.raises(
        UnknownNetworkError, match=r"it has none.*models list.*models import FILE --as alexnt"
    ):
        store.load("alexnt")
    put("alexnet")
    put("mine")
    with pytest.raises(UnknownNetworkError, match=r"it has alexnet, mine\. Did you mean 'alexnet'\?"):
        store.load("alexnt")
    with pytest.raises(UnknownNetworkError):
        store.remove("alexnt")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"name": "mine"}', "\x00\x01", '{"preprocess": 3, "layers": 4}', "[" * 10**5],
)
def test_a_damaged_description_is_an_error_that_says_what_to_do(text: str) -> None:
    folder = put("mine").folder
    (folder / "network.json").write_text(text)
    with pytest.raises(WeightsError, match=r"damaged, or written by a newer fc7 .*models remove mine"):
        store.load("mine")
    assert store.names() == ["mine"]
    store.remove("mine")
    assert store.names() == []


def test_a_description_with_an_unknown_field_is_not_half_understood() -> None:
    folder = put("mine").folder
    path = folder / "network.json"
    path.write_text(path.read_text().replace('"arch"', '"colour": "red", "arch"', 1))
    with pytest.raises(WeightsError, match="newer fc7"):
        store.load("mine")


def test_a_network_without_its_graph_is_damaged() -> None:
    (put("mine").folder / "network.onnx").unlink()
    with pytest.raises(WeightsError, match=r"network\.onnx is missing"):
        store.load("mine")


def test_a_flipped_bit_and_a_missing_file_are_found() -> None:
    folder = put("mine").folder
    store.verify("mine")
    weights = folder / "network.weights"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    with pytest.raises(WeightsError, match=r"network\.weights has sha256 \w{64}, not the recorded \w{64}"):
        store.verify("mine")
    weights.unlink()
    with pytest.raises(WeightsError, match=r"network\.weights is missing; copy, pull or import"):
        store.verify("mine")
    weights.write_bytes(whole)
    (folder / ".DS_Store").write_bytes(b"a desktop's own")
    store.verify("mine")
    (folder / "SHA256SUMS").write_text("")
    with pytest.raises(WeightsError, match=r"does not name network\.json"):
        store.verify("mine")
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(WeightsError, match="cannot be verified"):
        store.verify("mine")


def test_the_recorded_hashes_are_those_sha256sum_would_print() -> None:
    from hashlib import sha256

    folder = put("mine").folder
    expected = "".join(
        f"{sha256((folder / file).read_bytes()).hexdigest()}  {file}\n"
        for file in ("CRC32SUMS", "network.json", "network.onnx", "network.weights")
    )
    assert (folder / "SHA256SUMS").read_text() == expected


def test_a_copied_folder_works_also_under_another_name_and_read_only(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("mine")
    other = tmp_path / "other machine"
    shutil.copytree(root / "networks" / "mine", other / "networks" / "theirs")
    monkeypatch.setenv("FC7_HOME", str(other))
    folders = [other, other / "networks", other / "networks" / "theirs"]
    for folder in folders:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert store.names() == ["theirs"]
        loaded = store.load("theirs")
        store.verify("theirs")
        assert loaded.spec == dataclasses.replace(fake_spec("mine"), name="theirs")
    finally:
        for folder in folders:
            folder.chmod(stat.S_IRWXU)


def test_a_store_that_cannot_be_written_is_named(root: Path) -> None:
    root.parent.mkdir(exist_ok=True)
    root.write_text("a file is in the way")
    assert store.names() == []
    with pytest.raises(Fc7Error, match=r"cannot be written .*FC7_HOME"):
        put("mine")


def test_removing_leaves_the_others(root: Path) -> None:
    put("one")
    put("two")
    store.remove("one")
    assert store.names() == ["two"]
    assert [path.name for path in (root / "networks").iterdir()] == ["two"]


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "a/b", "a\\b", "../up", "/etc", "a b", "ä", "-x", ".hidden", "end.", "a" * 101),
        *("new\nline", "a:b", "a*", "con", "CON.txt", "nul", "Com1", "lpt9.x", "aux.onnx"),
    ],
)
def test_names_that_are_no_folder_everywhere_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a network's name"):
        put(name)
    with pytest.raises(UsageError):
        store.load(name)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1.1", "A_b-c.9", "console", "com", "com10", "nulls"])
def test_plain_names_are_taken(name: str) -> None:
    assert put(name).spec.name == name


@given(st.text(max_size=12))
def test_no_name_that_is_taken_leaves_the_folder(name: str) -> None:
    if store_paths.is_name(name):
        path = Path("/store") / name
        assert path.parent == Path("/store")
        assert path.name == name
        assert not name.startswith(".")


def test_the_store_is_where_the_platform_keeps_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("FC7_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert store.store_root() == tmp_path / ".cache" / "fc7"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.store_root() == tmp_path / "xdg" / "fc7"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert store.store_root() == tmp_path / "Library" / "Caches" / "fc7"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert store.store_root() == tmp_path / "local" / "fc7"
    monkeypatch.delenv("LOCALAPPDATA")
    assert store.store_root() == tmp_path / "AppData" / "Local" / "fc7"
    monkeypatch.setenv("FC7_HOME", "~/nets")
    assert store.store_root() == tmp_path / "nets"
