"""The file of --corrections: what it may look like, and what it makes of labels."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.extract.inputs.tables.corrections import Corrections
from fc7.extract.inputs.tables.corrections_table import read_corrections
from fc7.models.common.errors import SourceError, UsageError

NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1).filter(
    lambda name: bool(name.strip())
)
LABELS = st.text("abcé \"',;", max_size=4).map(str.strip)
PATHS = ["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"]
CONTENTS = [hashlib.sha256(name.encode()).hexdigest() for name in ("one", "two", "three", "two")]
BEFORE = ["cat", "cat", "dog", ""]


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def read(path: Path, *lines: str) -> Corrections:
    return read_corrections(write(path / "fixes.csv", "\n".join(lines)))


def over(corrections: Corrections) -> list[str]:
    return corrections.over(PATHS, CONTENTS, BEFORE)[0]


def refusal(path: Path, *lines: str) -> str:
    with pytest.raises(UsageError) as caught:
        over(read(path, *lines))
    return str(caught.value)


@settings(max_examples=120, deadline=None)
@given(
    before=st.dictionaries(NAMES, LABELS, min_size=1, max_size=8),
    data=st.data(),
    delimiter=st.sampled_from(",;\t"),
    by=st.sampled_from(["path", "sha256", "both"]),
    bom=st.booleans(),
)
def test_any_corrections_over_any_labels_are_a_dictionary_updated(
    tmp_path_factory: pytest.TempPathFactory,
    before: dict[str, str],
    data: st.DataObject,
    delimiter: str,
    by: str,
    bom: bool,
) -> None:
    fixes = data.draw(st.dictionaries(st.sampled_from(sorted(before)), LABELS))
    content = {path: hashlib.sha256(path.encode()).hexdigest() for path in before}
    columns = {"path": ["path"], "sha256": ["sha256"], "both": ["sha256", "note", "path"]}[by]
    file = tmp_path_factory.mktemp("m") / "fixes.csv"
    with file.open("w", newline="", encoding="utf-8-sig" if bom else "utf-8") as stream:
        table = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        table.writerow([*columns, "label"])
        for path, label in fixes.items():
            cells = {"path": path, "sha256": content[path].upper(), "note": "x"}
            table.writerow([*(cells[column] for column in columns), label])
    labels, corrected = read_corrections(file).over(
        list(before), [content[path] for path in before], list(before.values())
    )
    assert dict(zip(before, labels, strict=True)) == before | fixes
    changed = {path: label for path, label in fixes.items() if before[path] != label}
    assert {image.path: image.label for image in corrected.images} == changed
    assert corrected.n_removed == sum(not label for label in changed.values())
    assert corrected.notes == ()


def test_an_empty_label_takes_out_and_one_that_is_there_corrects_nothing(tmp_path: Path) -> None:
    fixes = read(tmp_path, "path,label,suggested", "cat/1.png,,dog", "cat/2.png,cat,dog", "dog/4.png,dog,")
    labels, corrected = fixes.over(PATHS, CONTENTS, BEFORE)
    assert labels == ["", "cat", "dog", "dog"]
    assert corrected.lines == [f"1 label corrected, 1 image taken out ({tmp_path}/fixes.csv)"]


def test_a_content_means_every_copy_and_with_a_path_that_one_alone(tmp_path: Path) -> None:
    assert over(read(tmp_path, "sha256,label", f"{CONTENTS[1]},newt")) == ["cat", "newt", "dog", "newt"]
    one = read(tmp_path, "path,sha256,label", f"dog/4.png,{CONTENTS[1]},newt")
    assert over(one) == ["cat", "cat", "dog", "newt"]


def test_where_path_and_content_disagree_the_content_counts_and_the_path_is_named(tmp_path: Path) -> None:
    gone = "0" * 64
    fixes = read(tmp_path, "path,sha256,label", f"cat/1.png,{CONTENTS[2]},newt", f"cat/2.png,{gone},newt")
    labels, corrected = fixes.over(PATHS, CONTENTS, BEFORE)
    assert labels == ["cat", "cat", "newt", ""]
    (note,) = corrected.notes
    assert "2 of 2 lines" in note
    assert "'cat/1.png', 'cat/2.png'" in note
    # An image that was renamed is found by its content, and nothing is wrong with that.
    moved = read(tmp_path, "path,sha256,label", f"old/1.png,{CONTENTS[0]},newt")
    assert moved.over(PATHS, CONTENTS, BEFORE)[1].notes == ()
    assert over(moved)[0] == "newt"


def test_unknown_images_are_counted_and_named_and_none_at_all_is_an_error(tmp_path: Path) -> None:
    lines = [f"no/{i}.png,cat" for i in range(5)]
    corrected = read(tmp_path, "path,label", "cat/1.png,dog", *lines).over(PATHS, CONTENTS, BEFORE)[1]
    (note,) = corrected.notes
    assert re.search(r"^5 of 6 lines of \S+ name no image that is there: 'no/0.png', .* and 2 more$", note), (
        note
    )
    said = refusal(tmp_path, "path,label", *lines)
    assert "none of its 5 lines names an image that is there. It names 'no/0.png', the images are" in said
    assert over(read(tmp_path, "path,label")) == BEFORE


def test_paths_may_have_backslashes_and_the_other_form_of_unicode(tmp_path: Path) -> None:
    fixes = read(tmp_path, "path,label", "cat\\1.png,newt", "./cafe\u0301/2.png,newt")
    assert fixes.over(["cat/1.png", "caf\u00e9/2.png"], ["", ""], ["", ""])[0] == ["newt", "newt"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["path,label", "a.png,dog", "a.png,newt"], "line 3: 'a.png' is 'newt' here, 'dog' in line 2"),
        (
            ["path,sha256,label", "cat/1.png,,dog", f",{CONTENTS[0]},newt"],
            f"line 3: '{CONTENTS[0]}' is 'newt' here, 'dog' in line 2",
        ),
        (["path,sha256,label", "cat/1.png,abc,dog"], "line 2: sha256 'abc'; 64 hexadecimal digits"),
        (["path,label", "cat/1.png,dog,pet"], "line 2: 3 fields, the header has 2; quote fields"),
        (["path,sha256,label", ",,dog"], "line 2: no path and no sha256"),
        (["picture,label", "cat/1.png,dog"], "the columns path,label or sha256,label is needed"),
        (["path,suggested", "cat/1.png,dog"], "label"),
        (["path,label", '"cat/1.png,dog'], "is a quotation mark left open"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_lines(tmp_path: Path, lines: Sequence[str], said: str) -> None:
    assert said in refusal(tmp_path, *lines)


def test_the_same_line_twice_is_no_mistake(tmp_path: Path) -> None:
    assert over(read(tmp_path, "path,label", "cat/1.png,dog", "cat/1.png,dog"))[0] == "dog"


def test_a_file_that_cannot_be_read_is_named_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--corrections .*none\.csv: no such file"):
        read_corrections(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"path,label\ncaf\xe9.png,cat\n")
    with pytest.raises(SourceError, match="line 2 is not UTF-8"):
        read_corrections(tmp_path / "latin.csv")


def test_the_hash_is_of_what_is_said_not_of_how(tmp_path: Path) -> None:
    one = read(tmp_path, "path,label", "a,cat", "b,dog")
    same = read(tmp_path, "label;note;path", 'dog;"x;y";b', "cat;;a")
    other = read(tmp_path, "path,label", "a,cat", "b,")
    assert one.sha256 == same.sha256 != other.sha256
    said = b'[["a", "", "cat"], ["b", "", "dog"]]'
    assert one.sha256 == hashlib.sha256(said).hexdigest()
