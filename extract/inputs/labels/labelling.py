"""What a manifest says, put on the images of a listing; or a listing made of what it names."""

# Strings, not Path objects, as in `extract.inputs.sources`: there may be millions.
# ruff: noqa: PTH100, PTH113, PTH118

from __future__ import annotations

import dataclasses
import os
import posixpath
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fc7.extract.inputs.places.addresses import is_address, parse, redacted
from fc7.extract.inputs.places.folders import ZERO_BYTE, FolderOrigin, escape
from fc7.extract.inputs.places.join import ListedSource, join
from fc7.extract.inputs.remote.lists import Named, list_named, refusal
from fc7.extract.inputs.tables.manifests import Manifest, ManifestRow, list_mistakes
from fc7.extract.inputs.tables.named_files import find_named, named_files, nearest_folder
from fc7.extract.records import Failure, ImageRef, Listing
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Notify
from fc7.models.common.terminal import counted
from fc7.models.common.unicode_forms import normal, on_disk


def label_listing(listing: Listing, manifest: Manifest, folder: Path, notify: Notify) -> Listing:
    """Labels, groups and splits of a manifest on the images that were found.

    A manifest's path is looked for among the listing's own, then as one that starts at the
    current folder or at the manifest's; with slashes or backslashes between folders. Then it
    is looked for as a cache would name the image, and last, if it has no suffix, as one without its own.

    Parameters
    ----------
    folder : Path
        The manifest's.
    notify : callable
        Is told how many images the manifest does not name.

    Returns
    -------
    Listing
        Images that it does not name have no label. What it names and is not there is a failure.

    Raises
    ------
    UsageError
        If two lines mean one image, or no line means any.
    """
    find = _Finder(listing, folder)
    rows: dict[str, ManifestRow] = {}
    missing: dict[str, Failure] = {}
    mistakes: list[str] = []
    for row in manifest.rows:
        path = find(row.path)
        if path is None:
            why = "there, but not among the images given" if find.is_there(row.path) else "not found"
            why = ZERO_BYTE if "\0" in row.path else why
            reason = f"named in {manifest.name} line {row.line}, {why}"
            name = escape(redacted(row.path))
            missing[name] = Failure(name, reason, 0, mtime_ns=0)
        elif path in rows:
            mistakes.append(
                f"line {row.line}: {redacted(row.path)!r} again, it is also in line {rows[path].line} "
                f"as {redacted(rows[path].path)!r}"
            )
        else:
            rows[path] = row
    if mistakes:
        raise UsageError(list_mistakes(manifest.name, mistakes))
    if not rows:
        first = listing.images[0].path if listing.images else listing.failures[0].path
        raise UsageError(
            f"{manifest.name}: none of its {len(manifest.rows)} paths is among the images given. It "
            f"names {redacted(manifest.rows[0].path)!r}, the images are like {first!r}; paths count "
            "from the folder given"
        )
    images = [_labelled(ref, rows.get(ref.path)) for ref in listing.images]
    unnamed = sum(ref.path not in rows for ref in images)
    if unnamed:
        given = counted(len(images), "image")
        notify(f"{unnamed} of {given} not named in {manifest.name}, and so without a label")
    failures = sorted([*listing.failures, *missing.values()], key=lambda failure: failure.path)
    return dataclasses.replace(listing, images=images, failures=failures)


def list_manifest(manifest: Manifest, folder: Path, typed: str) -> Listing:
    """The images that a manifest names, by path or address, whatever their suffix.

    Parameters
    ----------
    folder : Path
        The manifest's, absolute; relative paths start there.
    typed : str
        The folder as the user gave it.

    Returns
    -------
    Listing
        Paths from the manifest's folder if all lie in it, else from the nearest folder that they
        all lie in; if they lie on the disk and in buckets, with the places' names before them.

    Raises
    ------
    UsageError
        If two lines mean one file, or none of the files is there.
    """
    remote = [row for row in manifest.rows if is_address(row.path)]
    if not remote:
        return _list_files(manifest, folder, typed)
    named, refused = list[Named](), list[Failure]()
    for row in remote:
        where = f"named in {manifest.name} line {row.line}"
        try:
            named.append(Named(parse(row.path), where, row.label, group=row.group, split=row.split))
        except UsageError as exc:
            refused.append(refusal(row.path, where, exc))
    sources = list_named(named, manifest.name, refused, any_suffix=True)
    local = [row for row in manifest.rows if not is_address(row.path)]
    if local:
        listing = _list_files(Manifest(manifest.name, local), folder, typed)
        origin = listing.images[0].origin
        sources.append(ListedSource(origin.name, getattr(origin, "folder", str(folder)), listing))
    return join(sources)


def _list_files(manifest: Manifest, folder: Path, typed: str) -> Listing:
    """`list_manifest` where every row is a path of this disk."""
    base = str(folder)
    files = named_files(manifest, base, _native)
    if all(path.startswith(os.path.join(base, "")) for _, path in files):
        origin = FolderOrigin(typed, base)
    else:
        around = nearest_folder(files, manifest.name)
        origin = FolderOrigin(escape(around), around)
    found = find_named(manifest, files, origin, repeated="mistake", any_suffix=True)
    if not found.images:
        raise UsageError(
            f"{manifest.name}: none of the {len(found.failures)} files it names can be read; the first is "
            f"{redacted(manifest.rows[0].path)!r}, looked for in '{typed}'. Paths start at the folder of the "
            "list or table; if they start at another, give that folder as IMAGES and this file to --labels"
        )
    return found.listing()


class _Finder:
    """The image of a listing that a manifest's path means."""

    def __init__(self, listing: Listing, folder: Path) -> None:
        self._paths = {ref.path: ref.path for ref in listing.images}
        self._paths |= {failure.path: failure.path for failure in listing.failures}
        origins = {id(ref.origin): ref.origin for ref in listing.images}.values()
        # Only paths of one folder can be told from outside it.
        one = next(iter(origins)) if len(origins) == 1 else None
        self._root = one.folder if isinstance(one, FolderOrigin) else None
        self._starts = (str(Path.cwd()), os.path.abspath(folder))
        self._listing = listing
        self._shown: dict[str, str] = {}
        self._normal: dict[str, str] = {}
        self._stems: dict[str, str] = {}

    def __call__(self, path: str) -> str | None:
        if is_address(path):
            if not self._shown:
                self._shown = {ref.shown: ref.path for ref in self._listing.images}
            try:
                return self._shown.get(parse(path).shown)
            except UsageError:
                return None
        # Python before 3.11.5 normalises a path up to its zero byte only (CVE-2023-41105).
        if "\0" in path:
            return None
        found = self._find(path, self._paths)
        if found is None and not path.isascii():
            if not self._normal:
                self._normal = {normal(one): one for one in self._paths}
            found = self._find(normal(path), self._normal)
        if found is None and not posixpath.splitext(path)[1]:
            found = self._find(path, self._by_stem())
        return found

    def _by_stem(self) -> Mapping[str, str]:
        """Path without its suffix -> path, where one image only has it: tables of ids leave suffixes out."""
        if not self._stems:
            stems = {path: posixpath.splitext(path)[0] for path in self._paths}
            counts = Counter(stems.values())
            self._stems = {stem: path for path, stem in stems.items() if counts[stem] == 1}
        return self._stems

    def _find(self, path: str, paths: Mapping[str, str]) -> str | None:
        """The path of the listing that a written one means; `paths` has those of the listing in some form."""
        # Caffe puts its root folder before paths that begin with a slash.
        for written in dict.fromkeys((path, path.replace("\\", "/"), path.lstrip("/"))):
            inside = escape(posixpath.normpath(written))
            if inside in paths:
                return paths[inside]
            for start in self._starts if self._root is not None else ():
                full = os.path.normpath(os.path.join(start, written))
                if full.startswith(os.path.join(self._root or "", "")):
                    relative = os.path.relpath(full, self._root).replace(os.sep, "/")
                    if escape(relative) in paths:
                        return paths[escape(relative)]
        # As a cache, and so a table made from one, writes a name that is not UTF-8 or holds a backslash.
        return paths.get(path)

    def is_there(self, path: str) -> bool:
        """Whether a path that means no image of the listing is a file all the same."""
        starts = [start for start in (self._root, *self._starts) if start is not None]
        return not is_address(path) and any(os.path.isfile(os.path.join(start, path)) for start in starts)


def _labelled(ref: ImageRef, row: ManifestRow | None) -> ImageRef:
    return ref.marked(None, None, None) if row is None else ref.marked(row.label, row.group, row.split)


def _native(path: str, base: str) -> str:
    """A path as this system writes it: slashes and Unicode's form, unless the file is named so.

    Caffe puts its root folder before paths that begin with a slash.
    """
    if path.startswith("/") and not os.path.lexists(path) and os.path.lexists(base + path):
        path = path.lstrip("/")
    if "\\" in path and os.sep == "/" and not os.path.lexists(os.path.join(base, path)):
        path = path.replace("\\", "/")
    return on_disk(path, base)
