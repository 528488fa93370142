"""Everything that can be given as images, turned into one `Listing`.

===============================================  ==========================================
given                                            label of an image
===============================================  ==========================================
image files, folders, patterns                   its folder's name (`extract.inputs.sources`)
``.txt .lst .list``, ``-`` (stdin)               the same (`extract.inputs.lists`)
``.zip``, ``.tar`` and compressed tar files      its folder's name inside, or the shard's
                                                 ``.cls`` / ``.json`` (`extract.inputs.archives.members`)
``.npy .npz .p .pickle .pkl``                    the array of labels (`extract.inputs.arrays.layout`)
``.h5 .hdf5 .mat``                               the same (`extract.inputs.arrays.hdf5_images`)
``s3://``, ``gs://``, ``https://`` and the like  its folder's name (`extract.inputs.remote.listing`)
===============================================  ==========================================

A manifest (`--labels`, `extract.inputs.tables.manifests`) goes before all of these. Each reader is imported
when one of its files is given: together they take a tenth of the time of classifying one photo.
"""

# Strings, not Path objects, as in `extract.inputs.sources`: a shell may name 100,000 files.
# ruff: noqa: PTH100, PTH112, PTH113, PTH120, PTH207, PTH208

from __future__ import annotations

import dataclasses
import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from fc7.extract.images.codecs import formats
from fc7.extract.inputs.labels.folder_labels import label_by_folders, normalised
from fc7.extract.inputs.labels.grouping import OPTION as GROUP_BY
from fc7.extract.inputs.labels.grouping import add_groups, compile_pattern
from fc7.extract.inputs.labels.label_by import LabelRule
from fc7.extract.inputs.lists import list_paths, read_list
from fc7.extract.inputs.places.addresses import is_address, redacted
from fc7.extract.inputs.places.folders import holds_image
from fc7.extract.inputs.places.join import ListedSource, join
from fc7.extract.inputs.sources import list_images
from fc7.extract.inputs.tables.labelled_lists import read_labels
from fc7.extract.inputs.tables.list_lines import STDIN
from fc7.extract.inputs.tables.list_lines import SUFFIXES as LIST_SUFFIXES
from fc7.extract.records import Listing
from fc7.models.common.errors import SourceError, UsageError
from fc7.models.common.files import Inputs, each_of, is_pipe, refuse_pipe
from fc7.models.common.progress import Notify

_Reader = Callable[[Path, str, Notify], ListedSource]


def list_inputs(
    inputs: Inputs,
    *,
    labels: Path | None = None,
    group_by: str | None = None,
    label_by: str | None = None,
    notify: Notify | None = None,
    labelled: bool = True,
) -> Listing:
    """Every image of some inputs, with label, group and split, without opening one.

    Parameters
    ----------
    inputs : sequence of str or Path
        See the table at the top. May be empty if `labels` is given: then the images are those
        that it names.
    labels : Path or None
        A manifest: CSV or TSV of path, label and perhaps group and split; or a list of path and label.
    group_by : str or None
        Regular expression that finds the group in a path (`extract.inputs.labels.grouping.group_of`).
    label_by : str or None
        A folder's level or a regular expression that finds the label in a path
        (`extract.inputs.labels.label_by`).
    notify : callable or None
        Is given one-line notes: which arrays were taken, how many images have no label.
    labelled : bool
        Whether labels matter: else nothing is said of them.

    Returns
    -------
    Listing
        Sorted by path, each path once. With several sources every path begins with the name of
        its source (`extract.inputs.places.join.join`); image files and folders together are one source.

    Raises
    ------
    UsageError
        If an input does not exist, is of no kind that is read, or holds no images; or if the
        manifest or the regular expression is wrong.
    SourceError
        If a list, array file or archive is damaged, or a store does not answer.
    CredentialsError
        If a store wants others than there are.
    UnsafeFileError
        If one asks to run code or to fill the memory.

    Examples
    --------
    >>> listing = list_inputs(["drawn"])
    >>> len(listing.images), listing.images[0].path, listing.images[0].label, listing.roots
    (32, 'circle/0000.jpg', 'circle', ('drawn',))
    """
    inputs, notify = each_of(inputs), notify or _silent
    of_labels = notify if labelled else _silent
    rule = None if label_by is None else LabelRule.parse(label_by)
    if labels is not None and rule is not None:
        raise UsageError("found --labels and --label-by; both say what the labels are, give one of them")
    if group_by is not None:
        compile_pattern(GROUP_BY, group_by)
    manifest = None
    if labels is not None:
        manifest = read_labels(labels, of_labels)
    if inputs or manifest is None or labels is None:
        listing = _list(inputs, notify, of_labels, by_folder=manifest is None and rule is None)
        if manifest is not None and labels is not None:
            from fc7.extract.inputs.labels.labelling import label_listing

            listing = label_listing(listing, manifest, labels.parent, notify=notify)
        else:
            given = list(map(str, inputs))
            images = label_by_folders(
                listing.images, rule, given, notify=of_labels, grouped=group_by is not None
            )
            listing = dataclasses.replace(listing, images=images)
    else:
        from fc7.extract.inputs.labels.labelling import list_manifest

        listing = list_manifest(manifest, Path(os.path.abspath(labels.parent)), str(labels.parent))
    images = normalised(listing.images, of_labels)
    if group_by is not None:
        images = add_groups(images, group_by, notify)
    return dataclasses.replace(listing, images=images)


def _silent(_: str) -> None:
    pass


def _list(inputs: Sequence[str | Path], notify: Notify, of_labels: Notify, *, by_folder: bool) -> Listing:
    given = list(map(str, inputs))
    addresses = [typed for typed in given if is_address(typed)]
    names = [name for typed in given if not is_address(typed) for name in _expanded(typed)]
    images = {name for name in names if _is_picture(name)}
    pictures = set(map(os.path.dirname, images))
    whole = _named_whole(names, images)
    plain: list[str] = []
    others: list[tuple[str, _Reader]] = []
    unknown: list[str] = []
    for name in dict.fromkeys(names):
        reader, folder = _reader(name), os.path.dirname(name)
        if reader is None or (reader is _text_list and folder in pictures):
            # What lies beside named images was named with them by a shell's imgs/*, and is
            # counted as it would be in a folder.
            # A picture's name keeps even a pipe among the images, where it fails.
            known = name in images or folder in pictures or folder in whole
            known = known or not (os.path.isfile(name) or is_pipe(name))
            (plain if known else unknown).append(name)
        else:
            others.append((name, reader))
    for name in unknown:
        refuse_pipe(Path(name))
    if unknown:
        raise UsageError(_unknown(unknown))
    read: list[ListedSource] = []
    for name, reader in others:
        try:
            read.append(_read(name, reader, of_labels if reader in (_stdin, _text_list) else notify))
        except UsageError:
            # A list or array without images, which nobody meant who wrote imgs/*.
            if os.path.dirname(name) not in whole:
                raise
            plain.append(name)
    sources = [_plain(plain, of_labels, by_folder)] if plain or not (others or addresses) else []
    sources += read
    if addresses:
        from fc7.extract.inputs.remote.listing import list_addresses

        sources += list_addresses(addresses, notify)
    listing = join(sources)
    if not listing.images and not listing.failures:
        raise UsageError(f"no images in {', '.join(map(redacted, given[:3]))}: found {_found(listing)}")
    return listing


def _expanded(typed: str) -> list[str]:
    """What a pattern stands for, because not every shell expands it; anything else stands for itself."""
    if typed == STDIN or os.path.lexists(typed):
        return [typed]
    return sorted(glob.glob(typed, recursive=True)) or [typed]


def _is_picture(name: str) -> bool:
    if name.lower().endswith(formats.SUFFIXES):
        return True
    return _reader_of(name) is None and holds_image(name)


def _named_whole(names: Sequence[str], images: Collection[str]) -> set[str]:
    """Folders that hold two folders or more, and of which everything that can be seen was named."""
    others = [name.rstrip("/") for name in names if name not in images]
    folders = Counter(os.path.dirname(name) for name in others if os.path.isdir(name))
    several = {folder for folder, count in folders.items() if 1 < count < len(names)}
    parts = [os.path.split(name.rstrip("/")) for name in names] if several else []
    whole = set()
    for folder in several:
        try:
            seen = {entry for entry in os.listdir(folder or os.curdir) if not entry.startswith(".")}
        except OSError:
            continue
        if seen.issubset(own for around, own in parts if around == folder):
            whole.add(folder)
    return whole


def _plain(names: Sequence[str], of_labels: Notify, by_folder: bool) -> ListedSource:
    listing = list_images(names, of_labels, by_folder=by_folder)
    place = os.path.abspath(listing.roots[0])
    if listing.images:
        place = getattr(listing.images[0].origin, "folder", place)
    return ListedSource(listing.roots[0], place, listing)


def _read(name: str, reader: _Reader, notify: Notify) -> ListedSource:
    try:
        # ".." after a link leads elsewhere than its text says; else a link keeps its own name.
        place = os.path.realpath(name) if ".." in name else os.path.abspath(name)
        return reader(Path(place), name, notify)
    except OSError as exc:
        raise SourceError(f"{name}: cannot be read: {exc.strerror or exc}") from exc


def _reader(name: str) -> _Reader | None:
    """Who reads a file that is no image; None for images, folders, and what nobody reads."""
    if name == STDIN:
        return _stdin
    return _reader_of(name) if os.path.isfile(name) else None


def _reader_of(name: str) -> _Reader | None:
    """Who reads a file of such a suffix."""
    lower = name.lower()
    return next((reader for suffixes, reader in _READERS if lower.endswith(suffixes)), None)


def _stdin(path: Path, typed: str, notify: Notify) -> ListedSource:
    here = Path.cwd()
    return ListedSource(
        typed, str(here / "stdin"), list_paths(sys.stdin.buffer.read(), str(here), "stdin", notify=notify)
    )


def _text_list(path: Path, typed: str, notify: Notify) -> ListedSource:
    # The path as typed, not where a link leads: a list's paths start where the user sees it.
    return ListedSource(typed, str(path), read_list(Path(typed), typed, notify))


def _archive(path: Path, typed: str, notify: Notify) -> ListedSource:
    from fc7.extract.inputs.archives.archives import list_archive

    return list_archive(path, typed, notify)


def _arrays(path: Path, typed: str, notify: Notify) -> ListedSource:
    from fc7.extract.inputs.arrays.arrays import list_arrays

    return list_arrays(path, typed, notify)


def _hdf5(path: Path, typed: str, notify: Notify) -> ListedSource:
    from fc7.extract.inputs.arrays.hdf5_images import list_hdf5

    return list_hdf5(path, typed, notify)


_READERS: tuple[tuple[tuple[str, ...], _Reader], ...] = (
    (LIST_SUFFIXES, _text_list),
    ((".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz"), _archive),
    ((".npy", ".npz", ".p", ".pickle", ".pkl"), _arrays),
    ((".h5", ".hdf5", ".mat"), _hdf5),
)


def _unknown(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    kinds = " ".join(suffix for suffixes, _ in _READERS for suffix in suffixes)
    hint = "; a table of labels goes to --labels" if names[0].lower().endswith((".csv", ".tsv")) else ""
    return (
        f"{shown}: not images by suffix or first bytes{hint}. Give folders, images "
        f"({' '.join(formats.SUFFIXES)}), {kinds}, addresses (s3://bucket/imgs), or - for a list from stdin"
    )


def _found(listing: Listing) -> str:
    kinds = sorted(listing.ignored.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {kind}" for kind, count in kinds[:6]) or "nothing at all"
