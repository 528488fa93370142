"""Lists of path and label, as Caffe reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from extract.inputs import list_inputs
from models.errors import UsageError
from tests.extract.labels_support import column, labels, named_pictures
from tests.extract.test_manifests import pictures, write
from tests.support import CommandLine, read_json


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
    ran = cli.good("extract", "caffe.txt", "--network", "tiny", "-o", "caffe.h5")
    assert "2 classes: '0' 3, '1' 3" in ran.out
    assert "gone.png: named in caffe.txt line 8, not found" in ran.out
    assert [path.rpartition("/")[2] for path in column(cli.folder / "caffe.h5", "path")] == [
        Path(name).name for name in sorted(names)
    ]
    assert column(cli.folder / "caffe.h5", "label") == ["1"] * 3 + ["0"] * 3
    cli.good("fit", "caffe.h5", "--svm", "-C", "1", "-o", "caffe.onnx")
    judged = cli("evaluate", "caffe.txt", "-m", "caffe.onnx", "--json")
    assert (judged.code, read_json(judged.out)["n"]) == (1, 6)


def test_a_path_with_two_labels_is_refused_and_paths_with_blanks_are_none(tmp_path: Path) -> None:
    pictures(tmp_path, "a/1.png", "a/my 2.png", "b/plain 7")
    write(tmp_path / "two.txt", "a/1.png 3\na/1.png 4\n")
    with pytest.raises(UsageError, match=r"line 2: 'a/1.png' is '4' here, '3' in line 1"):
        list_inputs([tmp_path / "two.txt"])
    write(tmp_path / "blank.txt", "a/1.png\na/my 2.png\n")
    assert labels(tmp_path / "blank.txt") == {"1.png": "a", "my 2.png": "a"}
    write(tmp_path / "some.txt", "a/1.png 3\na/my 2.png\n")
    assert list(labels(tmp_path / "some.txt").values()) == ["a"]


def test_a_list_at_an_address_names_labels_too(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="the extra cloud brings fsspec")
    pytest.importorskip("aiohttp", reason="the extra cloud brings aiohttp")
    from tests.extract.web_folder import web_folder

    pictures(tmp_path, "set/a/1.png", "set/my 2.png")
    write(tmp_path / "set/list.txt", "a/1.png 7\nmy 2.png 10\n")
    with web_folder(tmp_path) as server:
        found = list_inputs([f"{server.url}/set/list.txt"])
        write(tmp_path / "here.txt", f"{server.url}/set/a/1.png 3\nset/my 2.png 4\n")
        both = list_inputs([tmp_path / "here.txt"])
    assert {ref.path: ref.label for ref in found.images} == {"a/1.png": "7", "my 2.png": "10"}
    assert sorted(ref.label or "" for ref in both.images) == ["3", "4"]
