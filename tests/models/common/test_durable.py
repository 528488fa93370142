"""Files that are whole or not there, and the one sentence for those that cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fc7.models.common.durable import explained, room_beside, unwritable
from fc7.models.common.errors import ClassifierError, Fc7Error


def sentence(path: Path) -> str:
    with pytest.raises(ClassifierError) as caught, explained(path, "--card", ClassifierError):
        path.write_bytes(b"x")
    assert isinstance(caught.value.__cause__, OSError)
    return str(caught.value)


def test_a_folder_that_is_not_there_is_to_be_made(tmp_path: Path) -> None:
    path = tmp_path / "none" / "file"
    said = f"(No such file or directory); make the folder {path.parent} or choose another --card"
    assert sentence(path) == f"{path}: cannot be written {said}"


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    told = sentence(tmp_path / "taken" / "deep" / "file")
    assert told.endswith(f"; {tmp_path / 'taken'} is a file where a folder is needed; choose another --card")


@pytest.mark.skipif(os.name == "nt", reason="Windows says that permission is denied")
def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    assert sentence(tmp_path).endswith("; it is a folder; choose another --card")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free the disk or choose another -o"),
        (errno.EDQUOT, "free the disk or choose another -o"),
        (errno.EACCES, "make there writable or choose another -o"),
        (errno.EROFS, "make there writable or choose another -o"),
        (errno.ENAMETOOLONG, "choose another -o"),
        (errno.EIO, "choose another -o"),
    ],
)
def test_the_remedy_fits_the_error(number: int, remedy: str) -> None:
    said = os.strerror(number)
    told = unwritable(Path("there") / "file", OSError(number, said))
    assert told == f"{Path('there') / 'file'}: cannot be written ({said}); {remedy}"


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(KeyError), explained(tmp_path):
        raise KeyError("x")
    with pytest.raises(Fc7Error, match=r"^own words$"), explained(tmp_path):
        raise Fc7Error("own words")


@pytest.mark.skipif(os.name != "posix", reason="flock of POSIX")
def test_a_room_takes_only_what_dead_makers_of_the_same_file_left(tmp_path: Path) -> None:
    names = [".full.onnx.17.part", ".full.onnx.v2.17.part", ".full.onnx.part", ".full,onnx.17.part"]
    for name in names:
        (tmp_path / name).mkdir()
    with room_beside(tmp_path / "full.onnx") as room:
        (room / "file").write_bytes(b"x")
        assert {path.name for path in tmp_path.iterdir()} == {*names[1:], room.name, ".full.onnx.lock"}
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])
