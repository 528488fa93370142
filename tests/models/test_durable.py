"""Files that are whole or not there, and the one sentence for those that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.durable import explained, write_whole
from models.errors import ClassifierError, Fc7Error


def test_the_sentence_names_the_file_the_reason_and_the_option(tmp_path: Path) -> None:
    path = tmp_path / "no folder" / "file"
    with pytest.raises(ClassifierError) as caught, explained(path, "--card", ClassifierError):
        write_whole(path, b"x")
    said = f"{path}: cannot be written (No such file or directory); choose another --card or free the disk"
    assert str(caught.value) == said
    assert isinstance(caught.value.__cause__, OSError)


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(KeyError), explained(tmp_path):
        raise KeyError("x")
    with pytest.raises(Fc7Error, match=r"^own words$"), explained(tmp_path):
        raise Fc7Error("own words")


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    assert write_whole(path, b"new") == path
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("file", b"new")]
