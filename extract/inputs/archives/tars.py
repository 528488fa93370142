"""Images in a ``.tar``, plain or compressed, read where they lie."""

from __future__ import annotations

import tarfile
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

from fc7.extract.images.limits import check_expansion
from fc7.extract.inputs.archives.forward import DECOMPRESSION_ERRORS, ForwardReader, compression, decompressed
from fc7.extract.inputs.archives.members import Kind, Members, label_of
from fc7.extract.records import ImageRef, Listing
from fc7.models.common.errors import ImageError, SourceError, UnsafeFileError
from fc7.models.common.progress import Notify

# tarfile reads long names and pax headers whole. POSIX.1-2017 sets no limit; Linux paths end at 4096.
_MOST_HEADER_BYTES = 1 << 20
_PIECE = 1 << 18
_SPARSE = "a sparse file; unpack the archive and give the folder"
_DAMAGE = (tarfile.TarError, RecursionError, *DECOMPRESSION_ERRORS)


@dataclass(frozen=True, slots=True)
class TarOrigin:
    """Members of one plain tar file; `ImageRef.locator` is where the data starts.

    Each read opens the file anew, as for images in a folder.
    """

    packed_below: ClassVar[str] = ""

    name: str
    path: Path

    def read(self, ref: ImageRef) -> bytes:
        """One member.

        Raises
        ------
        ImageError
            If the archive has vanished, changed or ends early.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(int(ref.locator))
                data = file.read(ref.size)
        except FileNotFoundError as exc:
            raise ImageError("the archive vanished after it was listed") from exc
        except OSError as exc:
            raise ImageError(f"cannot be read: {exc.strerror or exc}") from exc
        if len(data) != ref.size:
            raise ImageError("damaged archive: it ends before this member does")
        return data


@dataclass(slots=True)
class CompressedTarOrigin:
    """Members of a compressed tar file; `ImageRef.locator` is where the data starts, decompressed."""

    packed_below: ClassVar[str] = ""

    name: str
    path: Path
    reader: ForwardReader | None = None

    def read(self, ref: ImageRef) -> bytes:
        """One member; see `extract.inputs.archives.forward.ForwardReader` for the order of reads.

        Raises
        ------
        ImageError
        """
        assert self.reader is not None
        return self.reader.piece(int(ref.locator))


def list_tar(path: Path, name: str, notify: Notify) -> Listing:
    """Every image in a tar file; a compressed one is decompressed once to find them and to prove it sound.

    Parameters
    ----------
    path : Path
        Compressed by gzip, bzip2, xz or not at all, whatever its suffix says.
    name : str
        As the user gave it.

    Returns
    -------
    Listing
        `ImageRef.mtime_ns` is the archive's: members often carry none, and a tar file has no
        checksums, so any change of the archive counts as a change of its members.

    Raises
    ------
    SourceError
        If it is damaged or no tar file; none of its images counts, those before the damage included.
    UnsafeFileError
        If it expands or claims beyond `extract.images.limits`.
    """
    try:
        with path.open("rb") as file:
            stored = file.seek(0, 2)
            kind = compression(file)
            stream = file if kind is None else decompressed(file, kind)
            counted = _Counted(stream, name, stored if kind else None)
            origin = TarOrigin(name, path) if kind is None else CompressedTarOrigin(name, path)
            # A member's data follows what was read last, its header.
            members = Members(name, lambda _, count: counted.read(count))
            mtime_ns = path.stat().st_mtime_ns
            for member in _walk(counted, stored if kind is None else None, notify):
                inside = member.name
                trouble = _SPARSE if member.issparse() else None
                members.add(
                    inside,
                    _kind(member),
                    member.size,
                    mtime_ns=mtime_ns,
                    locator=member.offset_data,
                    trouble=trouble,
                )
                if member.isreg() and members.may_hold_label(inside, member.size):
                    label = label_of(inside, counted.read(member.size))
                    members.add_label(inside, _known(label))
            counted.finish()
    except _DAMAGE as exc:
        raise SourceError(
            f"{name}: a damaged tar file, or not one ({exc or type(exc).__name__}); copy or download it again"
        ) from exc
    listing = members.listing(origin, notify)
    if isinstance(origin, CompressedTarOrigin) and kind is not None:
        origin.reader = _reader(path, kind, listing)
    return listing


def _known(label: str | None) -> Callable[[], str | None]:
    return lambda: label


def _reader(path: Path, kind: str, listing: Listing) -> ForwardReader:
    pieces = sorted((int(ref.locator), ref.size) for ref in listing.images)
    offsets, sizes = (array("q", (piece[i] for piece in pieces)) for i in range(2))
    return ForwardReader(path, kind, offsets, sizes=sizes)


class _Counted:
    """What tarfile reads from: forwards only, and never more than a header at once."""

    def __init__(self, stream: BinaryIO, name: str, stored: int | None) -> None:
        self._stream = stream
        self.name = name
        self._stored = stored
        self.last = b""

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int) -> bytes:
        if size > _MOST_HEADER_BYTES + tarfile.BLOCKSIZE:
            raise UnsafeFileError(
                f"{self.name}: a header of {size:,} bytes in a tar file; refused. "
                f"At most {_MOST_HEADER_BYTES:,} are read"
            )
        self.last = self._stream.read(size)
        return self.last

    def seek(self, target: int) -> None:
        if self._stored is None:
            self._stream.seek(target)
            return
        while (left := target - self._stream.tell()) > 0:
            if not self._stream.read(min(left, _PIECE)):
                return
            check_expansion(self.name, self._stream.tell(), self._stored)

    def finish(self) -> None:
        """Read a compressed stream to its end: there stand the checksums that prove what came before.

        bzip2 and xz check each block as well, gzip nothing but the whole (RFC 1952, 2.3.1).
        """
        while self._stored is not None and self._stream.read(_PIECE):
            check_expansion(self.name, self._stream.tell(), self._stored)


def _walk(stream: _Counted, end: int | None, notify: Notify) -> Iterator[tarfile.TarInfo]:
    """Members in their order, none of them kept."""
    with tarfile.open(fileobj=cast("BinaryIO", stream), mode="r:", encoding="utf-8") as tar:
        before = -1
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # tarfile would keep every one
            if tar.offset <= before:
                raise tarfile.ReadError("a member of negative size")
            before = tar.offset
            # A sparse file says how large it is unpacked; less of it is stored.
            stored = member.size if member.isreg() and not member.issparse() else 0
            if end is not None and member.offset_data + stored > end:
                raise tarfile.ReadError(f"it ends within {member.name!r}")
            yield member
        # tarfile takes a damaged header for the end. The true one is a block of zeros, which some
        # writers leave out.
        if not stream.last:
            notify(f"{stream.name}: has no end mark; it may have been cut short")
        if any(stream.last):
            raise tarfile.ReadError(f"a damaged header at byte {tar.offset:,}")


def _kind(member: tarfile.TarInfo) -> Kind:
    if member.isdir():
        return "folder"
    if member.issym() or member.islnk():
        return "link"
    return "file" if member.isreg() else "other"
