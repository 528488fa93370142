"""The file of --labels: what it may look like, and what it does to a listing."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.tables.labelled_lists import read_labels
from fc7.extract.inputs.tables.manifests import Manifest
from fc7.models.common.errors import SourceError, UsageError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"picture " + os.fsencode(name))
    return folder


def read_manifest(path: Path) -> Manifest:
    return read_labels(path, print)


def mistakes_of(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_manifest(path)
    return str(caught.value)


NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1).filter(
    lambda name: bool(name.strip())
)


@settings(max_examples=80, deadline=None)
@given(
    names=st.lists(NAMES, min_size=1, max_size=8, unique=True),
    label=NAMES,
    delimiter=st.sampled_from(",;\t"),
    bom=st.booleans(),
)
def test_any_name_that_csv_can_hold_comes_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], label: str, delimiter: str, bom: bool
) -> None:
    path = tmp_path_factory.mktemp("m") / "labels.csv"
    with path.open("w", newline="", encoding="utf-8-sig" if bom else "utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerow(["label", "path"])
        writer.writerows([label, name] for name in names)
    rows = read_manifest(path).rows
    assert [row.path for row in rows] == names
    assert {row.label for row in rows} == {label.strip()}


def test_a_row_is_numbered_by_the_line_it_begins_in(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", 'path,label\n"two\nlines.jpg",a\n\nlast.jpg,b\n')
    assert [(row.line, row.path) for row in read_manifest(path).rows] == [
        (2, "two\nlines.jpg"),
        (5, "last.jpg"),
    ]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.csv", "path,label"),
        ("a.csv", "LABEL,Path".replace("LABEL,Path", "Path,LABEL")),
        ("a.csv", "file_name,class"),
        ("a.csv", "Filename;ClassId"),
        ("a.tsv", "image\tlabel"),
        ("a.txt", "path\tlabel"),
        ("a.csv", "\ufeffpath,label"),
    ],
)
def test_columns_are_known_under_the_names_people_use(tmp_path: Path, name: str, header: str) -> None:
    separator = re.sub(r"[\w\ufeff]", "", header)
    path = write(tmp_path / name, f"{header}\r\nx.jpg{separator}7\r\n")
    (row,) = read_manifest(path).rows
    assert (row.path, row.label, row.group, row.split) == ("x.jpg", "7", None, None)


def test_other_columns_are_left_alone_and_the_exact_name_wins(tmp_path: Path) -> None:
    text = "Filename;Width;path;ClassId;label\nwrong.jpg;3;right.jpg;1;cat\n"
    (row,) = read_manifest(write(tmp_path / "m.csv", text)).rows
    assert (row.path, row.label) == ("right.jpg", "cat")


def test_of_several_possible_columns_none_is_guessed(tmp_path: Path) -> None:
    text = mistakes_of(write(tmp_path / "m.csv", "file,image,label\na,b,c\n"))
    assert "file and image could all be path" in text


@pytest.mark.parametrize("text", ["", "\n\n", "cat/1,cat\n", "path\nx.jpg\n", "path,label\n"])
def test_a_manifest_without_header_or_rows_is_refused(tmp_path: Path, text: str) -> None:
    assert "needed" in mistakes_of(write(tmp_path / "m.csv", text))


def test_every_bad_line_is_named_with_its_number_and_what_is_wrong(tmp_path: Path) -> None:
    lines = [
        "path,label,split",
        "a.jpg,x,train",
        ",x,",
        "b.jpg,x",
        "a.jpg,y,",
        "c, d.jpg,x,test",
        "e.jpg,x,dog",
    ]
    text = mistakes_of(write(tmp_path / "m.csv", "\n".join(lines)))
    for expected in (
        "5 bad lines",
        "line 3: no path",
        "line 4: 2 fields, the header has 3",
        "line 5: 'a.jpg' again, it is also in line 2",
        "line 6: 4 fields, the header has 3; quote fields",
        "line 7: split 'dog'; train, val or test",
    ):
        assert expected in text


def test_at_most_twenty_bad_lines_are_shown(tmp_path: Path) -> None:
    text = mistakes_of(write(tmp_path / "m.csv", "path,label\n" + "a\n" * 50))
    assert "50 bad lines" in text
    assert text.count("1 fields") == 20
    assert "and 30 more" in text


def test_an_open_quotation_mark_is_named_where_it_opens(tmp_path: Path) -> None:
    assert "line 3: " in mistakes_of(write(tmp_path / "m.csv", 'path,label\na,b\n"c,d\ne,f\n'))


@pytest.mark.parametrize(
    ("data", "says"),
    [("path,label\nä.jpg,x\n".encode("latin-1"), "line 2 is not UTF-8"), ("p".encode("utf-16"), "UTF-16")],
)
def test_another_encoding_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "m.csv").write_bytes(data)
    with pytest.raises(SourceError, match=says):
        read_manifest(tmp_path / "m.csv")


def test_split_words_become_train_val_and_test(tmp_path: Path) -> None:
    words = {"Training": "train", "VALID": "val", "dev": "val", "testing": "test", "": None}
    text = "path,label,split\n" + "".join(f"{i}.jpg,x,{word}\n" for i, word in enumerate(words))
    assert [row.split for row in read_manifest(write(tmp_path / "m.csv", text)).rows] == list(words.values())


def test_without_images_the_manifest_names_them_from_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "data", "one.jpg", "sub/noending", "sub/two.png")
    manifest = write(
        tmp_path / "data/m.csv",
        "path,label,group,split\nsub/two.png,b,g,test\none.jpg,,,\nsub\\noending,c,,\ngone.jpg,a,,\n",
    )
    monkeypatch.chdir(tmp_path)
    listing = list_inputs([], labels=Path("data/m.csv"))
    assert [(r.path, r.label, r.group, r.split) for r in listing.images] == [
        ("one.jpg", None, None, None),
        ("sub/noending", "c", None, None),
        ("sub/two.png", "b", "g", "test"),
    ]
    assert [ref.origin.read(ref) for ref in listing.images][1:] == [
        b"picture sub/noending",
        b"picture sub/two.png",
    ]
    assert listing.images[0].shown == "data/one.jpg"
    (failure,) = listing.failures
    assert (failure.path, failure.reason) == ("gone.jpg", f"named in {Path('data/m.csv')} line 5, not found")
    assert manifest.exists()


def test_a_manifest_may_name_files_outside_its_folder(tmp_path: Path) -> None:
    pictures(tmp_path, "x/1.jpg", "y/2.jpg")
    write(tmp_path / "y/m.csv", f"path,label\n../x/1.jpg,a\n{tmp_path / 'y/2.jpg'},b\n")
    listing = list_inputs([], labels=tmp_path / "y/m.csv")
    assert [(ref.path, ref.label) for ref in listing.images] == [("x/1.jpg", "a"), ("y/2.jpg", "b")]


def test_two_lines_for_one_file_are_a_mistake_however_they_write_it(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    write(tmp_path / "m.csv", "path,label\na.jpg,x\n./a.jpg,y\n")
    for inputs in ([], [tmp_path]):
        with pytest.raises(UsageError, match=r"line 3: './a.jpg' again, it is also in line 2"):
            list_inputs(inputs, labels=tmp_path / "m.csv")


def test_a_manifest_labels_the_images_given_and_only_those_it_names(tmp_path: Path) -> None:
    pictures(tmp_path / "imgs", "cat/1.jpg", "cat/2.jpg", "dog/3.jpg")
    write(tmp_path / "m.csv", "path,label,group\ncat/1.jpg,Tom,g1\ndog\\3.jpg,Rex,\nnone.jpg,Eve,\n")
    notes: list[str] = []
    listing = list_inputs([tmp_path / "imgs"], labels=tmp_path / "m.csv", notify=notes.append)
    assert [(r.path, r.label, r.group) for r in listing.images] == [
        ("cat/1.jpg", "Tom", "g1"),
        ("cat/2.jpg", None, None),
        ("dog/3.jpg", "Rex", None),
    ]
    assert [(f.path, f.reason[-17:]) for f in listing.failures] == [("none.jpg", "line 4, not found")]
    assert notes == [f"1 of 3 images not named in {tmp_path / 'm.csv'}, and so without a label"]


def test_paths_from_the_current_folder_are_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "imgs", "cat/1.jpg")
    write(tmp_path / "m.csv", "path,label\nimgs/cat/1.jpg,Tom\n")
    monkeypatch.chdir(tmp_path)
    (ref,) = list_inputs(["imgs"], labels=Path("m.csv")).images
    assert (ref.path, ref.label) == ("cat/1.jpg", "Tom")


def test_a_manifest_that_fits_nothing_stops_with_an_example_of_both(tmp_path: Path) -> None:
    pictures(tmp_path / "imgs", "cat/1.jpg")
    write(tmp_path / "m.csv", "path,label\nother/1.jpg,Tom\n")
    with pytest.raises(UsageError, match=r"'other/1.jpg'.*'cat/1.jpg'"):
        list_inputs([tmp_path / "imgs"], labels=tmp_path / "m.csv")


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not allow")
@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.text("ab \"',;\n\\é🙂\t", min_size=1, max_size=8), min_size=1, max_size=5, unique=True)
)
def test_odd_file_names_meet_their_label(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    root = tmp_path_factory.mktemp("odd")
    # A case-blind file system would make one file of two names.
    files = [f"{i}{name}.jpg" for i, name in enumerate(names)]
    pictures(root / "imgs", *files)
    with (root / "m.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label"])
        writer.writerows([name, f"label {i}"] for i, name in enumerate(files))
    (root / "m.csv").rename(root / "imgs/m.csv")
    for inputs in ([root / "imgs"], []):
        listing = list_inputs(inputs, labels=root / "imgs/m.csv")
        assert not listing.failures
        assert {ref.origin.read(ref): ref.label for ref in listing.images} == {
            b"picture " + os.fsencode(name): f"label {i}" for i, name in enumerate(files)
        }


def test_a_table_of_ids_without_suffixes_labels_the_images_of_these_names(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "train", "0a.jpg", "sub/1b.png", "2c.jpg", "2c.png")
    table = write(tmp_path / "train.csv", "id,label\n0a,cat\nsub/1b,dog\n2c,owl\n")
    found = list_inputs([folder], labels=table)
    labels = {"0a.jpg": "cat", "2c.jpg": None, "2c.png": None, "sub/1b.png": "dog"}
    assert {ref.path: ref.label for ref in found.images} == labels
    # Two images could be 2c.
    assert [failure.path for failure in found.failures] == ["2c"]
    both = write(tmp_path / "both.csv", "id,label,filename\n7,cat,0a.jpg\n")
    assert {ref.label for ref in list_inputs([folder], labels=both).images} == {"cat", None}
