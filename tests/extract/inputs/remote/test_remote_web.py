"""Images behind web servers: index pages, lists, faults, and addresses that carry secrets."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("fsspec", reason="the extra cloud brings fsspec")
pytest.importorskip("aiohttp", reason="the extra cloud brings aiohttp")

from fc7.extract import extract_features, load_features
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.remote import store as remote_store
from fc7.extract.options import ExtractOptions
from fc7.extract.records import UNSEEN, ImageRef
from fc7.extract.summary import summary_json, summary_text
from fc7.extract.worker.stream import Decoding
from fc7.models.common.errors import CredentialsError, ImageError, SourceError, UsageError
from fc7.models.network.spec import caffe_preprocess
from fc7.models.store.importing import ImportOptions, import_network
from tests.support import CommandLine, tiny_network, write_pictures
from tests.support.extract.web_folder import Fault, WebFolder, web_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "www/imgs", per_class=3)
    (tmp_path / "www/imgs/notes.md").write_text("no image")
    (tmp_path / "www/imgs/red/odd name+ä.png").write_bytes((tmp_path / "www/imgs/red/000.png").read_bytes())
    return tmp_path / "www"


@pytest.fixture
def web(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebFolder]:
    monkeypatch.setattr(remote_store, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(remote_store, "_stores", {})
    with web_folder(folder) as server:
        yield server


def one(address: str) -> ImageRef:
    (ref,) = list_inputs([address]).images
    return ref


def images(server: WebFolder) -> dict[str, int]:
    return {path: count for path, count in server.gets.items() if path.endswith(".png")}


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExtractOptions:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    preset = caffe_preprocess()
    import_network(
        tiny_network(tmp_path / "t.onnx"), "tiny", ImportOptions(preprocess=preset, layer="embedding")
    )
    return ExtractOptions(network="tiny")


@pytest.mark.parametrize("ending", ["/imgs", "/imgs/", "/imgs/index.html"])
def test_an_index_page_is_listed_as_its_folder(folder: Path, web: WebFolder, ending: str) -> None:
    if ending.endswith("html"):
        # Written by hand, with links that lead deeper, up and elsewhere.
        names = [path.relative_to(folder / "imgs").as_posix() for path in (folder / "imgs").rglob("*.*")]
        links = "".join(f"<a href='{name}'>x</a>" for name in [*names, "../", "/", "http://h.invalid/a.png"])
        (folder / "imgs/index.html").write_text(f"<html>{links}</html>", "utf-8")
    local, remote = list_inputs([folder / "imgs"]), list_inputs([web.url + ending])
    assert [(r.path, r.label, r.size) for r in remote.images] == [
        (r.path, r.label, r.size) for r in local.images
    ]
    assert remote.roots == (f"{web.url}/imgs",)
    assert remote.ignored == {".md": 1}
    assert remote.failures == []
    # The server's times have whole seconds.
    assert [r.mtime_ns for r in remote.images] == [r.mtime_ns // 10**9 * 10**9 for r in local.images]
    for near, far in zip(local.images, remote.images, strict=True):
        assert far.origin.read(far) == near.origin.read(near)


def test_only_what_changed_is_read_again(
    folder: Path, web: WebFolder, network: ExtractOptions, tmp_path: Path
) -> None:
    out = tmp_path / "f.h5"
    first = extract_features([f"{web.url}/imgs"], out, network)
    local = extract_features([folder / "imgs"], tmp_path / "l.h5", network)
    assert (first.rows, local.rows) == (10, 10)
    assert (load_features(out).X == load_features(tmp_path / "l.h5").X).all()
    web.gets.clear()
    again = extract_features([f"{web.url}/imgs"], out, network)
    assert (again.reused, again.written, images(web)) == (10, False, {})
    os.utime(folder / "imgs/blue/001.png", (1e9, 1e9))
    (folder / "imgs/blue/002.png").unlink()
    changed = extract_features([f"{web.url}/imgs"], out, network)
    assert (changed.extracted, changed.removed, changed.reused) == (1, 1, 8)
    assert images(web) == {"/imgs/blue/001.png": 1}


def test_a_server_that_answers_503_costs_no_row(
    folder: Path, web: WebFolder, network: ExtractOptions, tmp_path: Path
) -> None:
    out = tmp_path / "f.h5"
    extract_features([f"{web.url}/imgs"], out, network)
    before = load_features(out)
    for path in sorted((folder / "imgs").rglob("*.png")):
        os.utime(path, (1e9, 1e9))  # so that each is asked for again
    for address in images(web):
        web.faults[address] += ["503"] * 20
    away = extract_features([f"{web.url}/imgs"], out, network)
    assert (away.rows, away.failures, away.removed, len(away.stale)) == (10, [], 0, 10)
    assert all("503" in failure.reason for failure in away.stale)
    after = load_features(out)
    assert after.paths == before.paths
    assert (after.X == before.X).all()
    assert after.y.tolist() == before.y.tolist()
    assert "kept the earlier row of blue/000.png" in summary_text(away)
    web.faults.clear()
    back = extract_features([f"{web.url}/imgs"], out, network)
    assert (back.rows, back.stale) == (10, [])
    web.faults["/imgs/"] += ["503"] * 20
    with pytest.raises(SourceError, match="503"):
        extract_features([f"{web.url}/imgs"], out, network)
    assert load_features(out).paths == before.paths


def test_a_server_that_gives_no_time_is_told_apart_by_its_etag(folder: Path, web: WebFolder) -> None:
    web.headers |= {"Last-Modified": None, "ETag": '"one"'}
    first = one(f"{web.url}/imgs/red/000.png")
    assert first == one(f"{web.url}/imgs/red/000.png")
    web.headers["ETag"] = '"two"'
    assert first.mtime_ns != one(f"{web.url}/imgs/red/000.png").mtime_ns
    del web.headers["ETag"]
    notes: list[str] = []
    listing = list_inputs([f"{web.url}/imgs/red"], notify=notes.append)
    assert {ref.mtime_ns for ref in listing.images} == {0}
    assert len(notes) == 1
    assert "only with --verify" in notes[0]


@pytest.mark.parametrize("faults", [["500", "500"], ["reset"], ["cut", "500", "reset", "cut"]])
def test_what_passes_is_tried_again(folder: Path, web: WebFolder, faults: list[Fault]) -> None:
    ref = one(f"{web.url}/imgs/red/001.png")
    web.gets.clear()
    web.faults["/imgs/red/001.png"] = list(faults)
    assert ref.origin.read(ref) == (folder / "imgs/red/001.png").read_bytes()
    assert web.gets.total() == len(faults) + 1


def test_a_silent_server_is_given_up_and_asked_again(
    folder: Path, web: WebFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_store, "SILENCE", 0.2)
    ref = one(f"{web.url}/imgs/red/001.png")
    web.faults["/imgs/red/001.png"] = ["slow"]
    assert ref.origin.read(ref) == (folder / "imgs/red/001.png").read_bytes()


@pytest.mark.parametrize(
    ("faults", "asked", "reason"),
    [
        (["cut"] * 9, 5, "the connection failed"),
        (["500"] * 9, 5, "the store is busy or failing (HTTP 500) (5 tries)"),
        (["403"] * 9, 1, "access refused (HTTP 403)"),
    ],
)
def test_what_stays_is_a_failure_and_tried_on_the_next_run(
    web: WebFolder,
    network: ExtractOptions,
    tmp_path: Path,
    faults: list[Fault],
    asked: int,
    reason: str,
) -> None:
    web.faults["/imgs/red/001.png"] = list(faults)
    first = extract_features([f"{web.url}/imgs"], tmp_path / "f.h5", network)
    assert web.gets["/imgs/red/001.png"] == asked
    (failure,) = first.failures
    assert (failure.path, failure.mtime_ns) == ("red/001.png", UNSEEN)
    assert reason in failure.reason
    assert "http" not in failure.reason
    web.faults.clear()
    again = extract_features([f"{web.url}/imgs"], tmp_path / "f.h5", network)
    assert (again.rows, again.extracted, again.failures) == (10, 1, [])


def test_an_image_that_vanishes_and_one_that_grows(folder: Path, web: WebFolder) -> None:
    gone, grown = one(f"{web.url}/imgs/red/001.png"), one(f"{web.url}/imgs/red/002.png")
    (folder / "imgs/red/001.png").unlink()
    (folder / "imgs/red/002.png").write_bytes(b"12345")
    with pytest.raises(ImageError, match=r"^not found$"):
        gone.origin.read(gone)
    with pytest.raises(ImageError, match=f"listed with {grown.size} bytes, read 5"):
        grown.origin.read(grown)


def test_an_unreadable_folder_below_is_a_failure_and_the_given_one_ends_the_run(web: WebFolder) -> None:
    web.faults["/imgs/red/"] = ["403"]
    listing = list_inputs([f"{web.url}/imgs"])
    assert len(listing.images) == 6
    assert [(f.path, f.reason) for f in listing.failures] == [
        ("red/", "the folder cannot be read: access refused (HTTP 403)")
    ]
    web.faults["/imgs"] = ["403"]
    with pytest.raises(SourceError, match="access refused"):
        list_inputs([f"{web.url}/imgs"])
    with pytest.raises(UsageError, match="/none: not found"):
        list_inputs([f"{web.url}/none"])
    web.faults["/imgs"] = ["401"]
    with pytest.raises(CredentialsError, match="missing or refused"):
        list_inputs([f"{web.url}/imgs"])


def test_a_page_for_every_address_does_not_run_for_ever(folder: Path, web: WebFolder) -> None:
    from fc7.extract.inputs.remote import walk as remote_walk

    page = b"<html><a href='again/'>a</a><a href='a.png'>b</a></html>"
    deepest: list[str] = []

    def read(store: remote_store.Store, relative: str, size: int = 0) -> bytes:
        deepest.append(relative)
        return page

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(remote_store.Store, "read", read)
        patched.setattr(remote_walk, "MAX_DEPTH", 5)
        listing = list_inputs([f"{web.url}/imgs"])
    assert max(relative.count("again") for relative in deepest) == 5
    assert any("folders deep" in failure.reason for failure in listing.failures)


@pytest.mark.parametrize("name", ["all.txt", "all"])
def test_a_plain_list_names_images_from_its_folder(folder: Path, web: WebFolder, name: str) -> None:
    (folder / "sets").mkdir()
    (folder / "sets" / name).write_text(
        f"../imgs/red/001.png\n{web.url}/imgs/blue/001.png\n/imgs/red/no.png\n"
    )
    listing = list_inputs([f"{web.url}/sets/{name}"])
    assert [(r.path, r.label) for r in listing.images] == [("blue/001.png", "blue"), ("red/001.png", "red")]
    assert [(f.path, f.reason) for f in listing.failures] == [
        ("red/no.png", f"named in {web.url}/sets/{name} line 3, not found")
    ]


def test_secrets_are_sent_and_neither_kept_nor_shown(
    folder: Path, web: WebFolder, network: ExtractOptions, tmp_path: Path
) -> None:
    secret = web.url.replace("//", "//me:hush@")
    text, table = tmp_path / "set.txt", tmp_path / "set.csv"
    text.write_text(f"{secret}/imgs/red/001.png?sig=hush1\n{secret}/imgs/red/gone.png?sig=hush2\n")
    table.write_text(
        f"path,label\n{secret}/imgs/red/001.png?sig=hush,x\n{secret}/imgs/red/gone.png?sig=hush,x\n"
    )
    web.faults["/imgs/red/002.png"] = ["403"] * 9
    said: list[str] = []
    for name, inputs, options in (
        ("a.h5", [f"{secret}/imgs/?sig=hush"], network),
        ("b.h5", [str(text)], network),
        ("c.h5", [], replace(network, labels=table)),
    ):
        summary = extract_features(inputs, tmp_path / name, options, notify=said.append)
        assert len(summary.failures) == 1
        said.append(summary_text(summary) + json.dumps(summary_json(summary)))
        assert b"hush" not in (tmp_path / name).read_bytes()
    # They did reach the server: the one over a folder for all that lies in it too.
    assert ("/imgs/red/000.png?sig=hush", "Basic bWU6aHVzaA==") in web.asked
    assert ("/imgs/red/001.png?sig=hush1", "Basic bWU6aHVzaA==") in web.asked
    assert "red/000.png" in load_features(tmp_path / "a.h5").paths
    for wrong in (f"{secret}/none?sig=hush", f"{secret}/a.zip?sig=hush", f"{secret}/imgs/no.png?sig=hush"):
        with pytest.raises(UsageError) as caught:
            list_inputs([wrong])
        said.append(str(caught.value))
    assert "hush" not in "".join(said)
    # Nor in what pickles show when printed, as a worker's log would.
    assert "hush" not in repr(list_inputs([text]).images[0].origin)


def test_two_images_that_differ_only_in_their_query_are_refused(web: WebFolder, tmp_path: Path) -> None:
    text = tmp_path / "set.txt"
    text.write_text(f"{web.url}/imgs/red/001.png?id=1\n{web.url}/imgs/red/001.png?id=2\n")
    with pytest.raises(UsageError, match=r"line 2: 001\.png again"):
        list_inputs([text])


def test_reading_waits_for_many_and_decodes_for_few(web: WebFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen reads are under way at once although one image is decoded at a time."""
    import threading

    import numpy as np

    from fc7.extract.clock import Clock
    from fc7.extract.worker.stream import feature_blocks
    from tests.support.fakes import MeanNetwork

    ref = one(f"{web.url}/imgs/red/000.png")
    together = threading.Barrier(remote_store.READERS)

    def read(store: remote_store.Store, relative: str, size: int = 0) -> bytes:
        # Passes only when all sixteen are here.
        together.wait(60)
        return b"x"

    busy = threading.Semaphore(1)

    def decode(data: object) -> np.ndarray:
        assert busy.acquire(blocking=False)
        busy.release()
        return np.zeros((1, 2, 2, 3), np.uint8)

    monkeypatch.setattr(remote_store.Store, "read", read)
    refs = [ImageRef(str(i), None, None, None, 1, 1, ref.origin, str(i)) for i in range(32)]
    blocks = list(feature_blocks(refs, Decoding(decode, 1), lambda: MeanNetwork(4), clock=Clock()))
    assert sum(len(block.refs) for block in blocks) == 32


def test_without_the_extra_the_message_names_it(tmp_path: Path) -> None:
    (tmp_path / "fsspec.py").write_text("raise ImportError('No module named fsspec')")
    cli = CommandLine(tmp_path)
    ran = cli("extract", "s3://bucket/imgs", env={"PYTHONPATH": str(tmp_path)})
    assert ran.code == 2
    assert "pip install 'fc7[cloud]'" in ran.err


def test_time_is_not_lost_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits grow threefold and vary by half; five tries take at most about fifteen seconds of them."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(SourceError, match=r"\(5 tries\)"):
        list_inputs(["http://127.0.0.1:1/imgs"])
    assert len(waits) == 4
    for wait, middle in zip(waits, (0.25, 0.75, 2.25, 6.75), strict=True):
        assert 0.5 * middle <= wait <= 1.5 * middle
