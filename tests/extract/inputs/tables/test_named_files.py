"""The one builder behind lists and tables of files: what a second line of one file is, and what fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from fc7.extract.inputs.places.folders import FolderOrigin
from fc7.extract.inputs.tables.manifests import Manifest, ManifestRow
from fc7.extract.inputs.tables.named_files import find_named, named_files, nearest_folder
from fc7.models.common.errors import UsageError


def table(*paths: str) -> Manifest:
    return Manifest("set", [ManifestRow(i, path, f"{i}", None, "val") for i, path in enumerate(paths, 2)])


def as_written(path: str, base: str) -> str:
    return path


def test_a_file_named_again_is_dropped_or_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    manifest = table("a.png", "sub/../a.png")
    files = named_files(manifest, str(tmp_path), as_written)
    origin = FolderOrigin("set", nearest_folder(files, "set"))
    found = find_named(manifest, files, origin, repeated="dropped", any_suffix=False)
    assert [(ref.path, ref.label, ref.split, ref.size) for ref in found.images] == [("a.png", "2", "val", 8)]
    with pytest.raises(UsageError, match=r"line 3: 'sub/../a.png' again, it is also in line 2"):
        find_named(manifest, files, origin, repeated="mistake", any_suffix=False)


@pytest.mark.parametrize(
    ("any_suffix", "images"), [(False, ["as_png"]), (True, [".hidden.txt", "as_png", "notes.txt"])]
)
def test_what_cannot_be_an_image_has_its_reason(tmp_path: Path, any_suffix: bool, images: list[str]) -> None:
    for name in ("notes.txt", ".hidden.txt"):
        (tmp_path / name).write_bytes(b"text")
    (tmp_path / "as_png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "link.png").symlink_to("gone.png")
    (tmp_path / "dir").mkdir()
    manifest = table("notes.txt", ".hidden.txt", "as_png", "link.png", "none.png", "dir/x.png", "x\0.png")
    files = named_files(manifest, str(tmp_path), as_written)
    origin = FolderOrigin("set", str(tmp_path))
    listing = find_named(manifest, files, origin, repeated="dropped", any_suffix=any_suffix).listing()
    assert [ref.path for ref in listing.images] == images
    reasons = {failure.path: failure.reason for failure in listing.failures}
    not_images = {} if any_suffix else {"notes.txt": "line 2, no image by its suffix or first bytes"}
    assert {path: reason.removeprefix("named in set ") for path, reason in reasons.items()} == not_images | {
        "link.png": "line 5, broken link to 'gone.png'",
        "none.png": "line 6, not found",
        "dir/x.png": "line 7, not found",
        "x\0.png": "line 8, its name holds a zero byte",
    }
    assert listing.ignored == ({} if any_suffix else {".txt": 1})
