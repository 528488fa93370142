"""Addresses one by one, as lists and manifests name them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from fc7.extract.inputs.places.addresses import Address, common_folder, parse, redacted
from fc7.extract.inputs.places.folders import escape, not_an_image
from fc7.extract.inputs.places.join import ListedSource
from fc7.extract.inputs.remote.entry import Entry
from fc7.extract.inputs.remote.errors import StoreError
from fc7.extract.inputs.remote.store import READERS, open_store
from fc7.extract.inputs.remote.walk import RemoteOrigin, RemoteWalk, check_single, look
from fc7.extract.inputs.tables.labelled_lists import labelled_lines
from fc7.extract.inputs.tables.list_lines import FOLDER, paths_of_list
from fc7.extract.records import Failure
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Notify

WORTH_LISTING = 32
"""So many objects of one folder are looked up by listing it, 1,000 to an answer, not one by one."""


@dataclass(frozen=True, slots=True)
class Named:
    """One line that names an image.

    Attributes
    ----------
    where : str
        ``named in set.txt line 3``, for the reason if it cannot be had.
    """

    address: Address
    where: str
    label: str | None
    group: str | None = None
    split: str | None = None


def list_remote_list(address: Address, data: bytes, notify: Notify) -> list[ListedSource]:
    """The images that a list at an address names, by address or by path from the list's folder.

    Raises
    ------
    UsageError
        If it names no image, or none is there.
    """
    lines = {number: line.strip() for number, line in paths_of_list(data, address.shown).items()}
    labelled = labelled_lines(lines, None, address.shown, notify=notify)
    if labelled is None:
        return list_lines(lines, address.shown, address.folder)
    named = [
        Named(address.folder.beside(row.path), f"named in {address.shown} line {row.line}", row.label)
        for row in labelled.rows
    ]
    return list_named(named, address.shown)


def list_lines(lines: Mapping[int, str], name: str, folder: Address | None = None) -> list[ListedSource]:
    """The images that some lines of a list name; paths among them start at `folder`.

    Raises
    ------
    UsageError
        As for `list_named`.
    """
    named, refused = list[Named](), list[Failure]()
    for number, line in lines.items():
        where = f"named in {name} line {number}"
        try:
            one = folder.beside(line) if folder is not None else parse(line)
        except UsageError as exc:
            refused.append(refusal(line, where, exc))
        else:
            named.append(Named(one, where, escape(one.folder.name) or None))
    return list_named(named, name, refused)


def refusal(written: str, where: str, exc: UsageError) -> Failure:
    """The failure of a line that holds no address."""
    return Failure(escape(redacted(written)), f"{where}, {exc}", 0, mtime_ns=0)


def list_named(
    named: Sequence[Named], name: str, refused: Sequence[Failure] = (), *, any_suffix: bool = False
) -> list[ListedSource]:
    """Look at every address that a list or manifest names; one source for each host or bucket.

    Parameters
    ----------
    name : str
        Of the list.
    refused : sequence of Failure
        Its lines that hold no address; they are among the failures of the first source.
    any_suffix : bool
        Take files for images whatever their name, as manifests do.

    Returns
    -------
    list of ListedSource
        Paths from the nearest folder that all images of the source lie in; an address that is there twice
        counts once. What cannot be had is a failure with its line.

    Raises
    ------
    UsageError
        If nothing is named, nothing can be had, or two addresses differ only in what is not shown.
    CredentialsError
    """
    groups: dict[str, dict[Address, Named]] = defaultdict(dict)
    for one in named:
        groups[one.address.head].setdefault(one.address, one)
    sources = [_source(list(group.values()), any_suffix) for group in groups.values()]
    if not any(source.listing.images for source in sources):
        reasons = [*(failure for source in sources for failure in source.listing.failures), *refused]
        if reasons:
            raise UsageError(
                f"{name}: none of the {len(reasons)} images it names can be had; the first is "
                f"{reasons[0].path!r} ({reasons[0].reason})"
            )
        raise UsageError(f"{name} names no image by its suffix")
    first = sources[0].listing
    failures = sorted([*first.failures, *refused], key=lambda failure: failure.path)
    return [replace(sources[0], listing=replace(first, failures=failures)), *sources[1:]]


def _source(named: Sequence[Named], any_suffix: bool) -> ListedSource:
    """All that one host or bucket is asked for."""
    root = common_folder([one.address.folder for one in named])
    found = RemoteWalk(RemoteOrigin(root.shown, root))
    start = len(root.path) + 1 if root.path else 0
    wanted: dict[str, Named] = {}
    for one in named:
        if not one.address.path:
            found.ignored[FOLDER] += 1
            continue
        locator = one.address.path[start:] + one.address.query
        if not any_suffix and not_an_image(one.address.name) is not None:
            found.fail(locator, f"{one.where}, no image by its suffix")
            continue
        wanted[locator] = one
    for (locator, one), seen in zip(wanted.items(), _looked(found.origin, list(wanted)), strict=True):
        check_single(found, locator, one.where)
        if isinstance(seen, StoreError):
            found.fail(locator, f"{one.where}, {seen}")
        elif seen.is_folder:
            found.ignored[FOLDER] += 1
        else:
            found.add(locator, one.label, seen, group=one.group, split=one.split)
    return found.source()


def _looked(origin: RemoteOrigin, locators: Sequence[str]) -> list[Entry | StoreError]:
    """What each path is, in order; many of one folder by listing that folder."""
    folders: dict[str, int] = defaultdict(int)
    for locator in locators:
        folders[locator.rpartition("/")[0]] += 1
    crowded = [folder for folder, count in folders.items() if count >= WORTH_LISTING]
    with ThreadPoolExecutor(READERS, thread_name_prefix="list") as pool:
        listed: Mapping[str, Mapping[str, Entry] | None] = {}
        if not origin.address.is_web:
            listed = dict(zip(crowded, pool.map(lambda folder: _names(origin, folder), crowded), strict=True))

        def one(locator: str) -> Entry | StoreError:
            folder, _, name = locator.rpartition("/")
            names = listed.get(folder)
            if names is None:
                return look(origin, locator)
            return names.get(name) or StoreError("not found", "absent")

        return list(pool.map(one, locators))


def _names(origin: RemoteOrigin, folder: str) -> dict[str, Entry] | None:
    """A folder's files by name; None if it may not be listed, which its files need not share."""
    try:
        return {entry.name: entry for entry in open_store(origin.address).entries(folder)}
    except StoreError:
        return None
