"""Images at addresses: ``s3://bucket/imgs``, ``gs://``, pages and lists at ``https://``, what fsspec reads.

They are listed by the rules of folders on a disk (`extract.inputs.places.folders`): all that lies below, the
folder's name as label, only images by their suffix. Size and change token
(`extract.inputs.remote.entry.change_token`) take the place of size and modification time, so what did not
change is not downloaded again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from fc7.extract.inputs.places.addresses import Address, common_folder, parse
from fc7.extract.inputs.places.folders import escape, not_an_image
from fc7.extract.inputs.places.join import ListedSource
from fc7.extract.inputs.remote.errors import StoreError
from fc7.extract.inputs.remote.lists import list_remote_list
from fc7.extract.inputs.remote.store import READERS, open_store
from fc7.extract.inputs.remote.walk import RemoteOrigin, RemoteWalk, check_single, look, unlisted, walk
from fc7.extract.inputs.remote.web_pages import is_html
from fc7.extract.inputs.tables.list_lines import SUFFIXES as LIST_SUFFIXES
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Notify

# Read from a disk only: they are opened at many places, or whole.
_LOCAL_ONLY = re.compile(r"\.(zip|tar|gz|tgz|bz2|tbz2?|xz|txz|np[yz]|p|pickle|pkl|h5|hdf5|mat|csv|tsv)$")


def list_addresses(typed: Sequence[str], notify: Notify) -> list[ListedSource]:
    """Every image at some addresses, without reading one.

    Parameters
    ----------
    typed : sequence of str
        Folders, index pages, single images, and lists (``.txt``, or plain text from a web server).
    notify : callable
        Is told of places whose changes cannot all be seen.

    Returns
    -------
    list of ListedSource
        One for all folders and images of a host or bucket, one for each list.

    Raises
    ------
    UsageError
        If an address cannot be read by what is installed, does not exist, or is of a kind that only a disk
        may hold.
    SourceError
        If a store does not answer.
    CredentialsError

    Examples
    --------
    >>> import fsspec
    >>> fsspec.filesystem("memory").pipe("/bucket/imgs/star/1.png", b"...")
    >>> (source,) = list_addresses(["memory://bucket/imgs"], print)
    >>> [(image.path, image.label) for image in source.listing.images]
    [('star/1.png', 'star')]
    """
    groups: dict[tuple[str, str], list[Address]] = {}
    sources: list[ListedSource] = []
    for address in dict.fromkeys(map(parse, typed)):
        name = address.name.lower()
        if name.endswith(LIST_SUFFIXES):
            sources += _listed(address, _read(address), notify)
        else:
            if not address.is_web:
                _refuse_local_only(address)
            # Images take their own query with them; a folder's is that of all below it.
            query = "" if not_an_image(name) is None else address.query
            groups.setdefault((address.head, query), []).append(address)
    for group in groups.values():
        sources += _list_group(group, notify)
    for source in sources:
        blind = sum(ref.mtime_ns == 0 for ref in source.listing.images)
        if blind:
            notify(
                f"{source.typed}: gives neither time nor ETag for {blind} images; a change that keeps the "
                "size is seen only with --verify"
            )
    return sources


def _list_group(addresses: Sequence[Address], notify: Notify) -> Iterator[ListedSource]:
    """Folders and images of one head."""
    pages = {address: _page(address) for address in addresses if _is_page(address)}
    lists = [address for address, page in pages.items() if not is_html(page)]
    for address in lists:
        yield from _listed(address, pages[address], notify)
    files = [address for address in addresses if address not in pages and _is_file(address)]
    folders = [address for address in addresses if address not in files and address not in lists]
    outer = [one for one in folders if not any(_inside(one, other) for other in folders)]
    files = [one for one in files if not any(_inside(one, other) for other in outer)]
    if not outer and not files:
        return
    root = common_folder([*(_base(one, pages) for one in outer), *(one.folder for one in files)])
    root = Address(root.head, root.path, outer[0].query if outer else "")
    found = RemoteWalk(RemoteOrigin(root.shown, root))
    start = len(root.path) + 1 if root.path else 0
    with ThreadPoolExecutor(READERS, thread_name_prefix="list") as pool:
        for one in outer:
            relative = _base(one, pages).path[start:]
            walk(found, relative, pages.get(one), pool=pool)
        looked = pool.map(lambda one: look(found.origin, one.path[start:] + one.query), files)
        for one, seen in zip(files, looked, strict=True):
            check_single(found, one.path[start:] + one.query, one.shown)
            if isinstance(seen, StoreError):
                if seen.kind == "absent":
                    raise UsageError(f"{one.shown}: not found")
                found.fail(one.path[start:], str(seen))
            else:
                label = escape(one.folder.name) or None
                found.add(one.path[start:] + one.query, label, seen)
    yield found.source()


def _is_page(address: Address) -> bool:
    return address.is_web and not_an_image(address.name.lower()) is not None


def _is_file(address: Address) -> bool:
    if not_an_image(address.name.lower()) is not None:
        return False
    if address.is_web:
        return True
    try:
        return not open_store(address.folder).look(address.name).is_folder
    except StoreError:
        # What is wrong with it is said when it is looked at among the others.
        return True


def _inside(one: Address, other: Address) -> bool:
    return one != other and (not other.path or one.path.startswith(f"{other.path}/"))


def _base(address: Address, pages: dict[Address, bytes]) -> Address:
    """The folder that an index page stands for: that of a file such as index.html, else its own address."""
    html = address in pages and address.name.lower().endswith((".html", ".htm"))
    return Address(address.head, address.folder.path, address.query) if html else address


def _page(address: Address) -> bytes:
    _refuse_local_only(address)
    return _read(address)


def _refuse_local_only(address: Address) -> None:
    if _LOCAL_ONLY.search(address.name.lower()):
        raise UsageError(
            f"{address.shown}: archives, arrays and tables are read from a disk; copy it here first"
        )


def _read(address: Address) -> bytes:
    """A list or page that was named by the user."""
    try:
        if address.is_web:
            return open_store(address).read("")
        return open_store(address.folder).read(address.name)
    except StoreError as exc:
        raise unlisted(address.shown, exc) from exc


def _listed(address: Address, data: bytes, notify: Notify) -> list[ListedSource]:
    return list_remote_list(address, data, notify)
