"""Images in a ``.zip``, read where they lie.

`zipfile` only lists the members: opened for each read it takes 1.1 s in an archive of 100,000, and kept
open 525 bytes a member where what is here takes 22 (Python 3.11).
"""

from __future__ import annotations

import bz2
import calendar
import stat
import struct
import zipfile
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, ClassVar

from fc7.extract.images.limits import MAX_MEMBER_BYTES, MAX_MEMBERS, check_members
from fc7.extract.inputs.archives.members import Kind, Members, label_of
from fc7.extract.inputs.places.folders import changed_ns, escape
from fc7.extract.records import ImageRef, Listing
from fc7.models.common.errors import ImageError, SourceError
from fc7.models.common.progress import Notify

# PKWARE APPNOTE 6.3.10: 4.3.7 local header, 4.3.12 directory, 4.3.14-16 its end, 4.4.4 flag 0.
_LOCAL = struct.Struct("<4s22xHH")
_LOCAL_SIGNATURE, _ENTRY_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02"
_END = struct.Struct("<4s8xL4x2x")
_END_SIGNATURE, _END_64_SIGNATURE = b"PK\x05\x06", b"PK\x06\x06"
_SIZE_OF_DIRECTORY_64 = 40
_LONGEST_COMMENT = 0xFFFF
_SMALLEST_ENTRY = 46
_ENCRYPTED = 1
# bzip2 gives nothing before a block is whole: 900 kB, little more compressed.
_ENOUGH_FOR_A_HEAD = 1 << 20
# zipfile raises these for damaged directories; NotImplementedError for versions after its own.
_DAMAGE = (zipfile.BadZipFile, ValueError, struct.error, EOFError, NotImplementedError, OSError)
# APPNOTE 4.5, 4.6.9: extra fields; Info-ZIP's with the name in UTF-8: version 1, CRC-32 of the plain name.
_NAME_IS_UTF8 = 1 << 11
_FIELD = struct.Struct("<HH")
_UNICODE_PATH, _UNICODE_PATH_START = 0x7075, struct.Struct("<BL")


@dataclass(slots=True)
class ZipOrigin:
    """Members of one zip file.

    Each read opens the file anew: reads from several threads do not wait for each other, a
    thousand archives take no file handles, and no more is kept than four numbers for a member.

    Attributes
    ----------
    offsets, stored, checksums, methods : array of int
        Of the member with that index: where its local header lies, how many bytes it has
        in the archive, CRC-32, compression method.
    """

    packed_below: ClassVar[str] = ""

    name: str
    path: Path
    offsets: array[int] = field(default_factory=lambda: array("q"), repr=False)
    stored: array[int] = field(default_factory=lambda: array("q"), repr=False)
    checksums: array[int] = field(default_factory=lambda: array("L"), repr=False)
    methods: array[int] = field(default_factory=lambda: array("H"), repr=False)

    def changed_ns(self, ref: ImageRef) -> int:
        """As `extract.records.changed_ns_of`: a member's own time is not that of the archive."""
        return changed_ns(self.path)

    def read(self, ref: ImageRef) -> bytes:
        """One member, unpacked, its checksum checked.

        Raises
        ------
        ImageError
            If it is damaged, or of another size than the archive's list says.
        """
        return self.member(int(ref.locator), ref.size)

    def add(self, info: zipfile.ZipInfo) -> int:
        """Remember a member; its index."""
        self.offsets.append(info.header_offset)
        self.stored.append(info.compress_size)
        self.checksums.append(info.CRC)
        self.methods.append(info.compress_type)
        return len(self.offsets) - 1

    def member(self, index: int, size: int) -> bytes:
        """The bytes of a member that claims `size` of them."""
        data = _unpacked(self._stored(index, self.stored[index]), self.methods[index], size)
        if len(data) != size:
            raise ImageError(f"damaged in the archive: {size} bytes listed, {len(data)} or more found")
        if zlib.crc32(data) != self.checksums[index]:
            raise ImageError("damaged in the archive: its checksum (CRC-32) is wrong")
        return data

    def head(self, index: int, count: int) -> bytes:
        """The first bytes of a member; nothing if they cannot be had."""
        try:
            stored = self._stored(index, min(self.stored[index], _ENOUGH_FOR_A_HEAD))
            return _unpacked(stored, self.methods[index], count)[:count]
        except ImageError:
            return b""

    def _stored(self, index: int, count: int) -> bytes:
        """The first `count` bytes of a member as they lie in the archive."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offsets[index])
                signature, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
                if signature != _LOCAL_SIGNATURE:
                    raise ImageError("damaged archive: no member where its list says")
                file.seek(name + extra, 1)
                return file.read(count)
        except FileNotFoundError as exc:
            raise ImageError("the archive vanished after it was listed") from exc
        except OSError as exc:
            raise ImageError(f"cannot be read: {exc.strerror or exc}") from exc
        except struct.error as exc:
            raise ImageError("damaged archive: it ends before this member") from exc


def list_zip(path: Path, name: str, notify: Notify) -> Listing:
    """Every image in a zip file; of members whose name is no image's, the first bytes are read.

    Parameters
    ----------
    name : str
        As the user gave it.

    Returns
    -------
    Listing
        `ImageRef.mtime_ns` is the member's own time (to 2 s, taken as UTC, since zip files do
        not say where they were made); its nanoseconds are the member's CRC-32 modulo 10**9,
        so that changed content shows even where a tool wrote no times.

    Raises
    ------
    SourceError
        If it is damaged or no zip file.
    UnsafeFileError
        If it has more than `extract.images.limits.MAX_MEMBERS` members.
    """
    try:
        with path.open("rb") as file:
            bytes_in_file = file.seek(0, 2)
            _check_directory(file, bytes_in_file, name)
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
    except _DAMAGE as exc:
        raise SourceError(
            f"{name}: a damaged zip file, or not one ({exc}); copy or download it again. "
            "A part of a split archive must be joined first"
        ) from exc
    _decode_names(entries, name, notify)
    origin = ZipOrigin(name, path)
    members = Members(name, origin.head)
    for info in entries:
        # Windows tools wrote backslashes; APPNOTE 4.4.17.1 has forward slashes only.
        inside = info.filename.replace("\\", "/")
        trouble = _trouble(info, bytes_in_file)
        # What claims 2**63 bytes or more has no place among the numbers.
        index = -1 if trouble else origin.add(info)
        members.add(
            inside,
            _kind(info),
            info.file_size,
            mtime_ns=_mtime_ns(info),
            locator=index,
            trouble=trouble,
        )
        if trouble is None and members.may_hold_label(inside, info.file_size):
            members.add_label(inside, partial(_label, origin, inside, index, info.file_size))
    return members.listing(origin, notify)


def _label(origin: ZipOrigin, name: str, index: int, size: int) -> str | None:
    try:
        return label_of(name, origin.member(index, size))
    except ImageError:
        return None


def _decode_names(entries: Iterable[zipfile.ZipInfo], name: str, notify: Notify) -> None:
    """Give every entry its name as its packer meant it; a note says where that had to be guessed.

    APPNOTE (appendix D) has two encodings: UTF-8 with a flag, else cp437. Info-ZIP on Linux and the Mac's
    Archive Utility write UTF-8 without the flag, Windows' packers the code page of their country.
    """
    guessed = []
    for info in entries:
        # zipfile has decoded these as cp437, which has a character for every byte.
        if info.flag_bits & _NAME_IS_UTF8:
            continue
        raw = info.orig_filename.encode("cp437")
        meant = _unicode_path(info.extra, raw)
        if meant is None and raw.isascii():
            continue
        try:
            meant = raw.decode() if meant is None else meant
        except UnicodeDecodeError:
            guessed.append(info.filename)
        else:
            info.filename = meant.partition("\0")[0]  # as zipfile cuts names
    if guessed:
        notify(
            f"{name}: names in an encoding that the archive does not tell ({len(guessed)}, such as "
            f"{escape(guessed[0])}) were read as cp437; if that is wrong, pack again in UTF-8 (7z a -mcu=on)"
        )


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The name in an Info-ZIP Unicode Path field, if it is there and belongs to the plain name `raw`."""
    while len(extra) >= _FIELD.size:
        tag, size = _FIELD.unpack_from(extra)
        data, extra = extra[_FIELD.size :][:size], extra[_FIELD.size + size :]
        if tag == _UNICODE_PATH and len(data) > _UNICODE_PATH_START.size:
            version, checksum = _UNICODE_PATH_START.unpack_from(data)
            # Another checksum: a tool renamed the member and did not know the field.
            if version == 1 and checksum == zlib.crc32(raw):
                try:
                    return data[_UNICODE_PATH_START.size :].decode()
                except UnicodeDecodeError:
                    return None
    return None


def _check_directory(file: BinaryIO, size: int, name: str) -> None:
    """Count the entries before zipfile makes an object of each."""
    start = max(0, size - _LONGEST_COMMENT - 2 * 56)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) - at < _END.size:
        return  # zipfile says what is wrong
    directory = _END.unpack_from(tail, at)[1]
    end = start + at
    at_64 = tail.rfind(_END_64_SIGNATURE, 0, at)
    if at_64 >= 0 and at - at_64 >= _SIZE_OF_DIRECTORY_64 + 8:
        directory = int.from_bytes(tail[at_64 + _SIZE_OF_DIRECTORY_64 :][:8], "little")
        end = start + at_64
    if directory <= MAX_MEMBERS * _SMALLEST_ENTRY:
        return
    file.seek(max(0, end - directory))
    count, rest = 0, min(directory, end)
    while rest > 0 and count <= MAX_MEMBERS:
        part = file.read(min(rest, 1 << 24))
        count += part.count(_ENTRY_SIGNATURE)
        rest -= len(part) or rest
    check_members(name, count)


def _kind(info: zipfile.ZipInfo) -> Kind:
    # The high half is the Unix mode where a Unix tool wrote it (APPNOTE 4.4.15), else 0.
    mode = stat.S_IFMT(info.external_attr >> 16)
    # ZipInfo.is_dir fails at an empty name before Python 3.12.
    if info.filename.endswith("/"):
        return "folder"
    if mode == stat.S_IFLNK:
        return "link"
    return "file" if mode in (0, stat.S_IFREG) else "other"


def _trouble(info: zipfile.ZipInfo, archive_size: int) -> str | None:
    if info.flag_bits & _ENCRYPTED:
        return "encrypted; unpack the archive with its password and give the folder"
    if info.compress_type not in _METHODS:
        return f"compressed with method {info.compress_type}; stored (0), deflate (8) and bzip2 (12) are read"
    if info.compress_size > archive_size or not 0 <= info.header_offset < archive_size:
        return "damaged archive: claims more bytes than the archive has"
    if info.compress_size > MAX_MEMBER_BYTES:
        return f"takes {info.compress_size:,} bytes in the archive; at most {MAX_MEMBER_BYTES:,} are read"
    return None


def _mtime_ns(info: zipfile.ZipInfo) -> int:
    seconds = calendar.timegm((*info.date_time, 0, 0, 0)) if 1 <= info.date_time[1] <= 12 else 0
    return seconds * 10**9 + info.CRC % 10**9


def _unpacked(data: bytes, method: int, size: int) -> bytes:
    try:
        if method == zipfile.ZIP_STORED:
            return data
        if method == zipfile.ZIP_DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
        return bz2.BZ2Decompressor().decompress(data, size + 1)
    except (zlib.error, OSError, ValueError, EOFError) as exc:
        raise ImageError(f"damaged in the archive: {exc}") from exc


_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
