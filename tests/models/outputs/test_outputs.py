"""The guard of outputs: what is replaced, how, and what comes in between."""

from __future__ import annotations

import dataclasses
import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fc7.models.common.errors import Fc7Error, UsageError
from fc7.models.outputs import places
from fc7.models.outputs.kinds import Kind, size_text
from fc7.models.outputs.outputs import CallFiles, Output
from fc7.models.outputs.places import OutputPlace

OURS = Kind("a file of ours", lambda path: path.read_bytes().startswith(b"ours"))
WHOLE = Kind("a whole file", OURS.recognises, streams=False)
posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and rights of POSIX")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.parametrize("before", [None, b"", b"ours, older"])
def test_nothing_emptiness_and_with_again_its_own_kind_are_replaced_whole(
    out: Path, before: bytes | None
) -> None:
    if before is not None:
        out.write_bytes(before)
    output = CallFiles(again=before is not None).claim(out, OURS)
    assert names(out.parent) == ([] if before is None else ["out"])
    assert output.write(b"ours, new") == out
    assert out.read_bytes() == b"ours, new"
    assert names(out.parent) == ["out"]


def test_what_is_refused_leaves_nothing_behind(out: Path) -> None:
    out.write_bytes(b"theirs")
    with pytest.raises(UsageError, match=r"a text file that begins with 'theirs' \(6 bytes, .*--force"):
        CallFiles().claim(out, OURS)
    assert names(out.parent) == ["out"]
    CallFiles(force=True).claim(out, OURS).write(b"ours")
    assert out.read_bytes() == b"ours"


def test_a_result_is_replaced_only_by_force_unless_its_kind_is_kept_up_to_date(out: Path) -> None:
    out.write_bytes(b"ours, of ninety images")
    with pytest.raises(UsageError, match=r"a text file .* stands there, and a file of ours was .* --force"):
        CallFiles().claim(out, OURS)
    assert out.read_bytes() == b"ours, of ninety images"
    CallFiles().claim(out, dataclasses.replace(OURS, replaceable=True)).write(b"ours, brought up to date")
    CallFiles(force=True).claim(out, OURS).write(b"ours, of one image")
    assert out.read_bytes() == b"ours, of one image"


def test_a_file_of_its_kind_may_be_spared_for_a_reason(out: Path) -> None:
    out.write_bytes(b"ours, of ninety images")

    def reason(path: Path) -> str | None:
        return "which holds more" if b"ninety" in path.read_bytes() else None

    with pytest.raises(UsageError, match=r"stands there, which holds more, and a file of ours was"):
        CallFiles(again=True).claim(out, OURS, spare=reason)
    CallFiles(force=True).claim(out, OURS, spare=reason).write(b"ours, of one image")
    output = CallFiles(again=True).claim(out, OURS, spare=reason)
    out.write_bytes(b"ours, of ninety images")
    with pytest.raises(UsageError, match="which holds more"):
        output.write(b"ours, of one image")


@posix
def test_a_link_stays_and_what_it_leads_to_is_replaced(out: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    for before in (None, b"ours"):
        if before is not None:
            (far / "real").write_bytes(before)
        else:
            out.symlink_to("far/real")
        CallFiles(again=True).claim(out, OURS).write(b"ours, new")
        assert out.is_symlink()
        assert (far / "real").read_bytes() == b"ours, new"
    (far / "real").write_bytes(b"theirs")
    with pytest.raises(UsageError, match="'theirs'"):
        CallFiles(again=True).claim(out, OURS)
    assert (names(tmp_path), names(far)) == (["far", "out"], ["real"])
    out.unlink()
    out.symlink_to(out)
    with pytest.raises(UsageError, match=r"cannot be written \(Too many levels of symbolic links\)"):
        CallFiles(again=True).claim(out, OURS)


@posix
def test_a_link_that_is_turned_during_the_work_is_not_followed_anew(out: Path, tmp_path: Path) -> None:
    out.symlink_to("one")
    output = CallFiles().claim(out, OURS)
    out.unlink()
    (tmp_path / "two").write_bytes(b"theirs")
    out.symlink_to("two")
    output.write(b"ours")
    assert (tmp_path / "one").read_bytes() == b"ours"
    assert (tmp_path / "two").read_bytes() == b"theirs"


@posix
def test_who_might_read_the_old_one_may_read_the_new_one(out: Path) -> None:
    out.write_bytes(b"ours")
    out.chmod(0o640)
    CallFiles(again=True).claim(out, OURS).write(b"ours, new")
    assert out.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("before", [None, b"ours"])
def test_what_appears_during_the_work_is_checked_too(out: Path, before: bytes | None) -> None:
    if before is not None:
        out.write_bytes(before)
    output = CallFiles(again=True).claim(out, OURS)
    out.write_bytes(b"theirs")
    with pytest.raises(UsageError, match="'theirs'"):
        output.write(b"ours, new")
    assert out.read_bytes() == b"theirs"
    out.write_bytes(b"ours by somebody else")
    output.write(b"ours, new")
    assert out.read_bytes() == b"ours, new"
    out.unlink()
    out.mkdir()
    with pytest.raises(UsageError, match="it is a folder"):
        output.write(b"ours, new")
    assert names(out.parent) == ["out"]


def test_what_appears_between_the_last_look_and_the_name_is_kept(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = CallFiles().claim(out, OURS)
    real = os.link

    def late(source: Path, target: Path) -> None:
        out.write_bytes(b"theirs")
        real(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(UsageError, match="'theirs'"):
        output.write(b"ours")
    assert out.read_bytes() == b"theirs"
    assert names(out.parent) == ["out"]


def test_without_hard_links_the_file_is_renamed(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", link)
    CallFiles().claim(out, OURS).write(b"ours")
    assert (out.read_bytes(), names(out.parent)) == (b"ours", ["out"])


@posix
def test_a_pipe_a_device_and_an_open_stream_are_written_into(out: Path) -> None:
    os.mkfifo(out)
    output = CallFiles().claim(out, OURS)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(out.read_bytes()))
    reader.start()
    output.write(b"into the pipe")
    reader.join(10)
    assert read == [b"into the pipe"]
    assert out.is_fifo()
    CallFiles().claim("/dev/null", OURS).write(b"into nothing")
    assert Path("/dev/null").is_char_device()
    with (out.parent / "log").open("w+b") as log:
        log.write(b"before, ")
        log.flush()
        CallFiles().claim(f"/dev/fd/{log.fileno()}", OURS).write(b"after")
        log.seek(0)
        assert log.read() == b"before, after"
    for place in (out, Path("/dev/null"), Path("/dev/stdout")):
        with pytest.raises(UsageError, match="a whole file cannot be written to a pipe or a device"):
            CallFiles(force=True).claim(place, WHOLE)


@posix
def test_a_device_without_room_says_so() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match="No space left"):
        CallFiles().claim("/dev/full", OURS).write(b"x")


@posix
def test_a_socket_is_refused(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(out.parent)  # its name may have a hundred letters
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("out")
        with pytest.raises(UsageError, match="what stands there is not a file"):
            CallFiles(force=True).claim("out", OURS)
    assert out.is_socket()


def test_names_of_255_bytes_are_written_and_longer_ones_refused(tmp_path: Path) -> None:
    long = tmp_path / ("é" * 127 + "x")
    CallFiles().claim(long, OURS).write(b"ours")
    assert names(tmp_path) == [long.name]
    with pytest.raises(UsageError, match="cannot be written"):
        CallFiles().claim(tmp_path / ("x" * 256), OURS)


def test_a_folder_is_made_only_when_it_is_written_to(tmp_path: Path) -> None:
    folder = CallFiles().folder(tmp_path / "a" / "b", {"one": OURS, "two": OURS}, "--plots")
    assert names(tmp_path) == []
    for output in folder.files.values():
        output.write(b"ours")
    assert names(tmp_path / "a" / "b") == ["one", "two"]
    with pytest.raises(UsageError, match=r"one is a file where a folder is needed; choose another --plots"):
        CallFiles().folder(tmp_path / "a" / "b" / "one" / "c", {"x": OURS}, "--plots")
    with pytest.raises(UsageError, match=r"make the folder .*none or choose another -o"):
        CallFiles().claim(tmp_path / "none" / "x", OURS)


@posix
@pytest.mark.parametrize("unnamed", [True, False])
def test_a_folder_that_may_not_be_written_is_found_at_once(
    as_nobody: Path, monkeypatch: pytest.MonkeyPatch, unnamed: bool
) -> None:
    if not unnamed:
        monkeypatch.setattr(places, "_unnamed", lambda folder: None)
    for folder in ("read-only", "closed"):
        with pytest.raises(UsageError, match=r"Permission denied\); make .* writable or choose another -o"):
            CallFiles().claim(as_nobody / folder / "x", OURS)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_the_trial_is_no_wrong_call(
    out: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(_: OutputPlace) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(OutputPlace, "try_writing", fail)
    with pytest.raises(Fc7Error, match="cannot be written") as caught:
        CallFiles().claim(out, OURS)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(("free", "told"), [(1000, None), (999, "note"), (125, "note"), (124, "error")])
def test_less_room_than_needed_is_said_and_far_less_ends_the_call(
    out: Path, monkeypatch: pytest.MonkeyPatch, free: int, told: str | None
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    output = CallFiles().claim(out, OURS)
    text = f"up to 1 kB will be written, and {free} bytes are free"
    if told == "error":
        with pytest.raises(Fc7Error, match=f"{text}; make room or choose another -o"):
            output.needs(1000)
    else:
        note = output.needs(1000)
        assert note is None if told is None else note is not None and text in note


def test_inputs_are_known_by_what_they_are_and_images_are_only_listed_under_force(out: Path) -> None:
    out.write_bytes(b"ours")
    listed: list[str] = []

    def images() -> list[str]:
        listed.append("asked")
        return [str(out), "not there"]

    other = out.parent / "other"
    os.link(out, other)
    for force in (False, True):
        with pytest.raises(UsageError, match=r"which this call reads, and a file of ours was .*another -o$"):
            CallFiles(["no such file", other], force=force).claim(out, OURS)
    CallFiles(force=True, listed=images).claim(out, OURS)
    assert listed == []
    out.write_bytes(b"theirs")
    with pytest.raises(UsageError, match=r"one of the images that this call reads, and .*another -o$"):
        CallFiles(force=True, listed=images).claim(out, OURS)


@pytest.mark.parametrize("other", [lambda path: path, lambda path: path.with_name("OUT")])
def test_two_outputs_are_two_files(out: Path, other: Callable[[Path], Path]) -> None:
    guard = CallFiles(force=True)
    first = guard.claim(out, OURS)
    assert guard.claim(first, OURS) is first
    with pytest.raises(
        UsageError, match=r"a file of ours \(-o\) and a whole file \(--csv\) were to be written"
    ):
        guard.claim(other(out), WHOLE, "--csv")
    if os.name == "posix":
        guard.claim("/dev/null", OURS)
        guard.claim("/dev/null", OURS, "--csv")


def test_what_lies_beside_is_guarded_like_the_output(out: Path) -> None:
    Path(f"{out}.part").write_bytes(b"theirs")
    output = CallFiles().claim(out, OURS)
    with pytest.raises(UsageError, match=r"out\.part: a text file that begins with 'theirs'"):
        output.beside(".part")
    assert isinstance(output.beside(".data", WHOLE), Output)


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (41_234, "41.2 kB"), (8_318_333, "8.32 MB")],
)
def test_sizes_are_in_decimal_units(n_bytes: int, text: str) -> None:
    assert size_text(n_bytes) == text
    assert size_text(1_660_000_000_000) == "1.66 TB"
