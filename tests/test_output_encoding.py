"""Names of classes in any script, on consoles and pipes of any encoding, and from archives of any packer."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping

import pytest

from fc7.models.common.terminal import take_every_name
from tests.extract.inputs.archives.test_zip_names import written
from tests.support import COLOURS, CommandLine, command, lines_of, read_json, write_pictures

CLASSES = ("κόκκινο", "緑", "青い空")
# A Windows console of western Europe; a locale that says nothing, with Python's own cures off.
POOR: list[Mapping[str, str]] = [
    {"PYTHONIOENCODING": "cp1252"},
    {"PYTHONIOENCODING": "", "LC_ALL": "C", "PYTHONUTF8": "0"},
]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Pictures of three classes, a cache of them, and a classifier fitted where stdout is cp1252."""
    line = CommandLine(tmp_path_factory.mktemp("names")).with_tiny_network()
    images = write_pictures(line.folder / "imgs", 6)
    for colour, name in zip(COLOURS, CLASSES, strict=True):
        (images / colour).rename(images / name)
    line.good("extract", "imgs", "--network", "tiny", "-o", "f.h5")
    ran = line("fit", "--force", "f.h5", "--svm", "--normalize", "none", "-o", "c.onnx", env=POOR[0])
    assert ran.code == 0, ran.text
    assert all(name in ran.out for name in CLASSES)
    assert "wrote c.onnx" in ran.out
    return line


@pytest.mark.parametrize("poor", POOR, ids=["cp1252", "C"])
def test_csv_and_json_on_a_pipe_are_utf8_whatever_python_was_told(
    fitted: CommandLine, poor: Mapping[str, str]
) -> None:
    ran = fitted("classify", "imgs", "-m", "c.onnx", "-o", "-", env=poor)
    assert ran.code == 0, ran.text
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert {(row["path"].split("/")[1], row["label"]) for row in rows} == {(name, name) for name in CLASSES}
    ran = fitted("classify", "imgs", "-m", "c.onnx", "-o", "p.csv", "--force", "--json", env=poor)
    assert set(read_json(ran.out)["counts"]) == set(CLASSES)
    assert [row["label"] for row in lines_of(fitted.folder / "p.csv")] == [row["label"] for row in rows]


def test_an_error_with_a_name_that_no_encoding_has_is_still_said(fitted: CommandLine) -> None:
    if sys.platform != "linux":
        pytest.skip("names are bytes on Linux alone")
    done = subprocess.run(
        [*map(os.fsencode, command(["extract"])), b"gone-\xff-\xce\xb1"],
        cwd=fitted.folder,
        env=fitted.environment(POOR[0]),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert "gone-" in done.stderr.decode()
    assert "The fault is fc7's" not in done.stderr.decode()


def test_a_console_keeps_its_encoding_and_shows_what_it_lacks_escaped(fitted: CommandLine) -> None:
    pty = pytest.importorskip("pty", reason="needs a Unix terminal")
    for told, shown in (("cp1252", b"\\u03ba\\u03cc"), ("ascii", "κόκκινο".encode())):
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb", buffering=0) as screen:
            done = subprocess.Popen(
                command(["classify", "imgs", "-m", "c.onnx", "-o", "-"]),
                cwd=fitted.folder,
                env=fitted.environment({"PYTHONIOENCODING": told}),
                stdout=theirs,
                stderr=subprocess.DEVNULL,
            )
            os.close(theirs)
            seen = b""
            try:
                while part := screen.read(1 << 16):
                    seen += part
            except OSError:  # Linux's way to say that the other side is closed
                pass
            assert done.wait(60) == 0
        assert shown in seen, told


def test_a_stream_that_is_no_file_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    text, raw = io.StringIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", text)
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, "cp1252", write_through=True))
    take_every_name()
    print("κ", file=sys.stdout)
    print("κ\udcff", file=sys.stderr)
    monkeypatch.setattr(sys, "stdout", None)
    take_every_name()
    assert (text.getvalue(), raw.getvalue()) == ("κ\n", "κ\\udcff\n".encode())


def test_archives_are_read_by_their_true_names_in_any_locale(fitted: CommandLine) -> None:
    """A zip as ``zip -r`` packs it on Linux, names in UTF-8 and nothing that says so; a tar without pax."""
    images = fitted.folder / "imgs"
    paths = {path.relative_to(images).as_posix(): path for path in sorted(images.rglob("*.png"))}
    written(
        fitted.folder / "linux.zip",
        *((name.encode(), b"", path.read_bytes()) for name, path in paths.items()),
    )
    with tarfile.open(fitted.folder / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar:
        for name, path in paths.items():
            tar.add(path, name)
    for archive in ("linux.zip", "a.tar"):
        ran = fitted("evaluate", archive, "-m", "c.onnx", "--json", env=POOR[1])
        assert ran.code == 0, ran.text
        found = read_json(ran.out)
        assert (found["n"], found["accuracy"]) == (18, 1.0), archive
