"""Names of folders made of labels: every file system takes them, and two labels never share one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fc7.classify.gallery.names import FreeNames, safe_names


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("cat", "cat"),
        ("Zoë 猫", "Zoë 猫"),
        ("..", "_"),
        ("../../etc", "_.._.._etc"),
        ("/abs", "_abs"),
        ("a\\b", "a_b"),
        ("", "_"),
        ("ends. ", "ends"),
        (".hidden", "_.hidden"),
        ("NUL", "_NUL"),
        ("\udcff.jpg", "_.jpg"),
        ("com1.jpg", "_com1.jpg"),
        ("a\nb\x00c", "a_b_c"),
        ("x" * 300, "x" * 180),
        ("é" * 300, "é" * 90),
        ("x" * 300 + ".jpg", "x" * 176 + ".jpg"),
    ],
)
def test_a_label_becomes_a_folder_that_every_file_system_takes(label: str, name: str) -> None:
    assert safe_names([label]) == {label: name}


@given(st.lists(st.text(max_size=12), unique=True))
def test_labels_that_differ_get_folders_that_differ_and_lie_nowhere_else(labels: list[str]) -> None:
    names = safe_names(labels)
    assert list(names) == labels
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names.values()}) == len(labels)
    for name in names.values():
        assert name not in ("", ".", "..")
        assert not set(name) & set("/\\\0\n")
        assert len(name.encode()) < 256


def test_a_number_goes_before_the_suffix_and_names_that_have_one_are_not_taken_twice() -> None:
    names = FreeNames()
    assert [names.take(name) for name in ("a-2.jpg", "a.jpg", "A.JPG", "a.jpg")] == [
        "a-2.jpg",
        "a.jpg",
        "A-2.JPG".replace("-2", "-3"),
        "a-4.jpg",
    ]
