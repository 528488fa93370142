"""Images copied into folders: byte for byte, under names of their own, and what was skipped is said."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fc7.classify.gallery.copies import Sorted, copy_images, new_folder
from fc7.classify.report.thumbnails import Originals
from fc7.extract.inputs.listing import list_inputs
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Silent
from tests.support import coloured_picture


@pytest.fixture
def originals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Originals:
    """Two files of one name, one in an archive, and an array."""
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / "imgs" / folder).mkdir(parents=True)
        Image.fromarray(coloured_picture("red", ord(folder))).save(f"imgs/{folder}/photo.png")
    with zipfile.ZipFile("more.zip", "w") as archive:
        archive.write("imgs/a/photo.png", "c/photo.png")
    np.savez("set.npz", X=np.stack([coloured_picture("blue", i) for i in range(2)]), y=["x", "y"])
    refs = {ref.path: ref for given in ("imgs", "more.zip", "set.npz") for ref in list_inputs([given]).images}
    return Originals(refs)


def found(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_copies_are_the_very_bytes_and_no_two_get_one_name(originals: Originals, tmp_path: Path) -> None:
    wanted = [Sorted(path, "", "../up") for path in originals.refs]
    wanted += [Sorted("b/photo.png", "0" * 64, "x"), Sorted("gone.png", "", "y")]
    copied = copy_images(wanted, originals, tmp_path / "new", "--sort-into", Silent())
    files = found(tmp_path / "new")
    first, second = (Path(f"imgs/{folder}/photo.png").read_bytes() for folder in ("a", "b"))
    assert files["_.._up/photo.png"] == first
    assert files["_.._up/photo-2.png"] == second
    assert files["_.._up/photo-3.png"] == first
    assert len(files) == copied.n == 5
    arrays = sorted(name for name in files if "photo" not in name)
    with Image.open(tmp_path / "new" / arrays[0]) as picture:
        assert (np.asarray(picture) == coloured_picture("blue", 0)).all()
    assert list(copied.skipped) == [("b/photo.png", "changed since it was read"), ("gone.png", "not found")]
    assert copied.describe().splitlines() == [
        f"copied 5 images into 1 folder of {tmp_path / 'new'}",
        "skipped 1, the first b/photo.png: changed since it was read",
        "skipped 1, the first gone.png: not found",
    ]


@pytest.mark.skipif(os.name != "posix", reason="inodes of POSIX")
def test_files_are_linked_where_it_was_asked_and_copied_from_archives(
    originals: Originals, tmp_path: Path
) -> None:
    wanted = [Sorted(path, "", "all") for path in ("a/photo.png", "c/photo.png")]
    copied = copy_images(wanted, originals, tmp_path / "new", "--sort-into", Silent(), link=True)
    assert (copied.n, copied.n_linked) == (2, 1)
    assert Path("imgs/a/photo.png").samefile(tmp_path / "new/all/photo.png")
    assert (tmp_path / "new/all/photo-2.png").stat().st_nlink == 1


def test_a_folder_that_holds_anything_is_refused(tmp_path: Path) -> None:
    assert new_folder(tmp_path / "none", "--copy") == tmp_path / "none"
    assert new_folder(tmp_path, "--copy") == tmp_path
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds mine.txt; give --copy a new or an empty folder"):
        new_folder(tmp_path, "--copy")
    with pytest.raises(UsageError, match=r"Not a directory; give --copy"):
        new_folder(tmp_path / "mine.txt", "--copy")
