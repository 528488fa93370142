"""What an engine opens is what was saved under the fingerprint: damage and replacement are named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

import pytest

from fc7.models.common.errors import WeightsError
from fc7.models.listing import network_rows
from fc7.models.network_table import network_table
from fc7.models.store import integrity, store
from fc7.models.store.integrity import unchanged
from tests.support.models.fake_networks import fake_files, fake_spec


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def put(mark: str = "a", *, replace: bool = False) -> store.StoredNetwork:
    """A network whose files were written an hour ago."""
    stored = store.save(fake_spec("mine", mark), fake_files(mark), replace=replace)
    for path in stored.folder.iterdir():
        os.utime(path, (path.stat().st_mtime - 3600,) * 2)
    return stored


def check(stored: store.StoredNetwork) -> None:
    with unchanged(stored.graph_path, stored.spec):
        pass


def zero_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] = 0
    path.write_bytes(data)


def test_the_crcs_are_those_that_another_program_computes() -> None:
    import binascii

    stored = put()
    lines = (stored.folder / "CRC32SUMS").read_text().splitlines()
    assert lines == [
        f"{binascii.crc32((stored.folder / name).read_bytes()):08x}  {name}"
        for name in ("network.json", "network.onnx", "network.weights")
    ]
    check(stored)


@pytest.mark.parametrize("name", ["network.weights", "network.onnx"])
@pytest.mark.parametrize("sums", ["CRC32SUMS", "SHA256SUMS"])
def test_a_changed_byte_is_found_with_and_without_crcs(name: str, sums: str) -> None:
    stored = put()
    if sums == "SHA256SUMS":  # as earlier versions saved networks
        (stored.folder / "CRC32SUMS").unlink()
        recorded = (stored.folder / sums).read_text().splitlines(keepends=True)
        (stored.folder / sums).write_text("".join(line for line in recorded if "CRC32" not in line))
    check(stored)
    zero_a_byte(stored.folder / name)
    with pytest.raises(WeightsError, match=rf"{name} has the checksum \w+, and had \w+ .*models verify"):
        check(stored)


def test_a_network_replaced_before_the_engine_opens_it_ends_the_run_by_name() -> None:
    before = put("a")
    put("b", replace=True)
    with pytest.raises(WeightsError, match="network 'mine' was replaced or changed during this run"):
        check(before)


@pytest.mark.parametrize(
    "change",
    [
        lambda: put("b", replace=True),
        lambda: put("a", replace=True),
        lambda: zero_a_byte(store.load("mine").folder / "network.weights"),
        lambda: store.remove("mine"),
    ],
    ids=["another", "the same again", "a byte", "removed"],
)
def test_what_changes_while_the_engine_opens_it_ends_the_run_too(change: Callable[[], object]) -> None:
    stored = put("a")
    with (
        pytest.raises(WeightsError, match="network 'mine' was replaced or changed"),
        unchanged(stored.graph_path, stored.spec),
    ):
        change()


@pytest.mark.parametrize("name", ["network.weights", "network.onnx", "network.json"])
def test_a_missing_file_is_named(name: str) -> None:
    stored = put()
    (stored.folder / name).unlink()
    with pytest.raises(WeightsError, match=rf"{name}.*(missing|damaged)"):
        check(stored)


def test_an_error_inside_is_not_hidden_by_a_change() -> None:
    stored = put()
    with pytest.raises(KeyError, match="the engine's own"), unchanged(stored.graph_path, stored.spec):
        store.remove("mine")
        raise KeyError("the engine's own")


def test_a_file_that_was_checked_is_not_read_again_until_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, read, crc = put(), list[str](), integrity._crc
    monkeypatch.setattr(integrity, "_TICK", 0)

    def noting(stream: BufferedReader) -> str:
        read.append(Path(str(stream.name)).name)
        return crc(stream)

    monkeypatch.setattr(integrity, "_crc", noting)
    check(stored)
    assert sorted(read) == ["network.json", "network.onnx", "network.weights"]
    check(stored)
    assert len(read) == 3
    weights = stored.folder / "network.weights"
    os.utime(weights, (1, 1))  # the same bytes: read again, and sound
    check(stored)
    assert read[3:] == ["network.weights"]
    times = weights.stat()
    zero_a_byte(weights)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))  # size and time as before
    with pytest.raises(WeightsError, match="has the checksum"):
        check(stored)


def test_what_has_just_been_written_is_not_remembered(root: Path) -> None:
    check(store.save(fake_spec("mine"), fake_files(), replace=False))
    assert not (root / "checked.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"x": 3}', "\x00"])
def test_a_damaged_memory_costs_a_check_and_no_more(root: Path, text: str) -> None:
    stored = put()
    (root / "checked.json").write_text(text)
    check(stored)


def test_a_copied_store_is_checked_anew_and_works_where_nothing_can_be_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path, data: bytes) -> Path:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(integrity, "_TICK", 0)
    check(put())
    # It is remembered, and copied with the store.
    assert (root / "checked.json").exists()
    shutil.copytree(root, tmp_path / "copy")
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "copy"))
    monkeypatch.setattr(integrity, "write_whole", read_only)
    check(store.load("mine"))
    zero_a_byte(tmp_path / "copy" / "networks" / "mine" / "network.weights")
    with pytest.raises(WeightsError, match="has the checksum"):
        check(store.load("mine"))


def test_files_that_cannot_be_read_are_not_told_as_replaced(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = put()

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(integrity, "_compare_sums", broken)
    with pytest.raises(
        WeightsError, match=r"cannot be read \(Input/output error\); check its rights"
    ) as caught:
        check(stored)
    assert "replaced" not in str(caught.value)


def test_a_graph_that_no_store_holds_is_not_looked_at(tmp_path: Path) -> None:
    graph = tmp_path / "network.onnx"
    graph.write_bytes(b"any")
    with unchanged(graph, fake_spec("mine")):
        pass


def test_the_memory_is_readable_json(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = put()
    monkeypatch.setattr(integrity, "_TICK", 0)
    check(stored)
    known = json.loads((root / "checked.json").read_text())
    weights = stored.folder / "network.weights"
    assert known[str(weights)][:3] == [weights.stat().st_dev, weights.stat().st_ino, 10_000]


def test_models_list_says_damaged_of_files_that_changed_and_reads_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def damaged() -> tuple[bool, str]:
        [row] = [row for row in network_rows() if row["name"] == "mine"]
        listed = [line for line in network_table([row]).splitlines() if line.startswith("mine")]
        return row["damaged"], listed[0].split()[1]

    stored, read, crc = put(), list[str](), integrity._crc
    monkeypatch.setattr(integrity, "_TICK", 0)

    def noting(stream: BufferedReader) -> str:
        read.append(Path(str(stream.name)).name)
        return crc(stream)

    monkeypatch.setattr(integrity, "_crc", noting)
    assert damaged() == (False, "store")
    assert read == []
    check(stored)
    read.clear()
    assert damaged() == (False, "store")
    assert read == []
    weights = stored.folder / "network.weights"
    os.utime(weights, (1, 1))  # the same bytes: read once
    assert damaged() == (False, "store")
    assert damaged() == (False, "store")
    assert read == ["network.weights"]
    zero_a_byte(weights)
    assert damaged() == (True, "damaged")
    weights.unlink()
    assert damaged() == (True, "damaged")
