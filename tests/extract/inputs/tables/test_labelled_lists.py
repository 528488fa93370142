"""Lists of path and label, as Caffe reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fc7.extract.inputs.listing import list_inputs
from fc7.models.common.errors import UsageError
from tests.extract.inputs.tables.test_manifests import pictures, write
from tests.support import CommandLine, read_json
from tests.support.extract.labels_support import column, labels, named_pictures


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("labels")).with_tiny_network()


def test_lists_of_path_and_label_are_read(cli: CommandLine) -> None:
    names = [f"pics/red one {i}.png" for i in range(3)] + [f"pics/blue{i}.png" for i in range(3)]
    named_pictures(cli.folder, *names)
    text = (
        "".join(f"{name} {int('blue' in name)}\n" for name in names) + f"{names[0]}\t0\r\npics/gone.png 1\n"
    )
    write(cli.folder / "caffe.txt", text)
    ran = cli.incomplete("extract", "caffe.txt", "--network", "tiny", "-o", "caffe.h5")
    assert "2 classes: '0' 3, '1' 3" in ran.out
    assert "gone.png: named in caffe.txt line 8, not found" in ran.out
    assert [path.rpartition("/")[2] for path in column(cli.folder / "caffe.h5", "path")] == [
        Path(name).name for name in sorted(names)
    ]
    assert column(cli.folder / "caffe.h5", "label") == ["1"] * 3 + ["0"] * 3
    cli.good("fit", "--force", "caffe.h5", "--svm", "-C", "1", "-o", "caffe.onnx")
    evaluated = cli("evaluate", "caffe.txt", "-m", "caffe.onnx", "--json")
    assert (evaluated.code, read_json(evaluated.out)["n"]) == (1, 6)


def test_a_path_with_two_labels_is_refused_and_paths_with_blanks_are_none(tmp_path: Path) -> None:
    pictures(tmp_path, "a/1.png", "a/my 2.png", "b/plain 7")
    write(tmp_path / "two.txt", "a/1.png 3\na/1.png 4\n")
    with pytest.raises(UsageError, match=r"line 2: 'a/1.png' is '4' here, '3' in line 1"):
        list_inputs([tmp_path / "two.txt"])
    write(tmp_path / "blank.txt", "a/1.png\na/my 2.png\n")
    assert labels(tmp_path / "blank.txt") == {"1.png": "a", "my 2.png": "a"}
    write(tmp_path / "some.txt", "a/1.png 3\na/my 2.png\n")
    assert labels(tmp_path / "some.txt") == {"a/1.png": "3", "a/my 2.png": None}


def test_a_list_at_an_address_names_labels_too(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="the extra cloud brings fsspec")
    pytest.importorskip("aiohttp", reason="the extra cloud brings aiohttp")
    from tests.support.extract.web_folder import web_folder

    pictures(tmp_path, "set/a/1.png", "set/my 2.png")
    write(tmp_path / "set/list.txt", "a/1.png 7\nmy 2.png 10\n")
    with web_folder(tmp_path) as server:
        found = list_inputs([f"{server.url}/set/list.txt"])
        write(tmp_path / "here.txt", f"{server.url}/set/a/1.png 3\nset/my 2.png 4\n")
        both = list_inputs([tmp_path / "here.txt"])
    assert {ref.path: ref.label for ref in found.images} == {"a/1.png": "7", "my 2.png": "10"}
    assert sorted(ref.label or "" for ref in both.images) == ["3", "4"]


def test_a_line_without_a_label_has_none_and_is_named_and_the_others_keep_theirs(cli: CommandLine) -> None:
    names = [f"gaps/red{i}.png" for i in range(3)] + [f"gaps/blue{i}.png" for i in range(3)]
    named_pictures(cli.folder, *names)
    lines = [f"{name} {int('blue' in name)}" for name in names[:-1]] + [names[-1]]
    write(cli.folder / "gaps.txt", "\n".join(lines))
    ran = cli.good("extract", "gaps.txt", "--network", "tiny", "-o", "gaps.h5")
    assert f"gaps.txt: 1 image has no label, unlike the others: line 6 ({names[-1]})\n" in ran.err
    assert "2 classes: '0' 3, '1' 2; 1 row has no label" in ran.out
    assert column(cli.folder / "gaps.h5", "label") == ["1", "1", "", "0", "0", "0"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "a/1.png golden retriever",
            "'golden retriever' after 'a/1.png' was found where one word is looked for",
        ),
        ("a/1.png 1 0 1", "'1 0 1' after 'a/1.png' are 3 labels; an image has one label here"),
        ("a/1.png,1,0", "'1,0' after 'a/1.png' are 2 labels; an image has one label here"),
        ("a/1.png\t0\t1", "'0\\t1' after 'a/1.png' are 2 labels; an image has one label here"),
    ],
)
def test_what_is_no_one_label_is_refused_by_its_line_with_what_to_do(
    cli: CommandLine, tmp_path: Path, line: str, says: str
) -> None:
    pictures(tmp_path, "a/0.png", "a/1.png")
    write(tmp_path / "list.txt", f"a/0.png 3\n{line}\n")
    for given in ([tmp_path / "list.txt"], [tmp_path, "--labels", tmp_path / "list.txt"]):
        ran = cli("extract", *given, "--network", "tiny", "-o", "refused.h5")
        assert ran.code == 2
        assert f"line 2: {says}" in ran.err


@pytest.mark.parametrize(
    "text",
    [
        "n01/1.png 0\nn02/my 2.png 1\n",
        "/n01/1.png 0\r\n/n02/my 2.png 1\r\n",
        "n01/1.png,0\nn02/my 2.png,1\n",
        "n01/1.png ; 0\nn02/my 2.png ;1\n",
        "n01/1.png\t0\nn02/my 2.png\t1",
    ],
)
def test_caffes_lists_are_read_as_images_and_as_labels(tmp_path: Path, text: str) -> None:
    folder = pictures(tmp_path / "val", "n01/1.png", "n02/my 2.png")
    expected = {"n01/1.png": "0", "n02/my 2.png": "1"}
    write(folder / "val.txt", text)
    assert labels(folder / "val.txt") == expected
    for name in ("val.txt", "val.csv"):
        beside = write(tmp_path / name, text)
        for given in ([folder], [folder / "n01", folder / "n02"]):
            found = list_inputs(given, labels=beside)
            assert ({ref.path: ref.label for ref in found.images}, found.failures) == (expected, [])
        # Not beside its images: what to do instead is said, and is what was done above.
        with pytest.raises(UsageError, match="give that folder as IMAGES and this file to --labels"):
            list_inputs([], labels=beside)
    with pytest.raises(UsageError, match="give that folder as IMAGES and this file to --labels"):
        list_inputs([folder, tmp_path / "val.txt"])


def test_a_label_of_several_words_follows_a_tab_or_a_comma(tmp_path: Path) -> None:
    pictures(tmp_path, "a/1.png", "a/2.png")
    write(tmp_path / "list.txt", "a/1.png\tgolden retriever\na/2.png, tabby cat\n")
    assert list(labels(tmp_path / "list.txt").values()) == ["golden retriever", "tabby cat"]


def test_a_table_with_other_columns_is_no_list(tmp_path: Path) -> None:
    pictures(tmp_path, "1.png", "2.png")
    write(tmp_path / "m.csv", "picture,breed\n1.png,cat\n2.png,dog\n")
    with pytest.raises(UsageError, match="the first line is picture, breed; a header with"):
        list_inputs([tmp_path], labels=tmp_path / "m.csv")


def test_what_a_list_names_and_is_no_image_is_skipped_with_its_reason(cli: CommandLine) -> None:
    named_pictures(cli.folder, "mixed/red1.png", "mixed/blue2.png")
    (cli.folder / "mixed/clip.mp4").write_bytes(b"no picture")
    (cli.folder / "mixed/.DS_Store").write_bytes(b"no picture")
    write(cli.folder / "mixed.txt", "mixed/red1.png\nmixed/clip.mp4\nmixed/.DS_Store\nmixed/blue2.png\n")
    ran = cli.incomplete("extract", "mixed.txt", "--network", "tiny", "-o", "mixed.h5")
    assert "skipped clip.mp4: named in mixed.txt line 2, no image by its suffix or first bytes" in ran.out
    assert "not images: 1 .ds_store" in ran.out
