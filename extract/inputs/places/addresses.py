"""Addresses such as ``s3://bucket/imgs``: told from paths, taken apart, and shown without their secrets.

An address can carry a password (``https://user:pass@host/``) or a signature (``?X-Amz-Signature=...``).
Both are needed to read and never shown: what goes into a cache, a message or a table is `Address.shown`.

`yarl` (1.25.1) shows passwords and signatures in its text, and takes what follows a ``#`` in a bucket's key
off its path.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

from fc7.models.common.errors import UsageError

# RFC 3986, 3.1; two letters at least, so that no drive of Windows is one. "zip::s3://..." is fsspec's chain.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)(?:://|::)")
_CHAIN = "::"
_WEB = ("http", "https")
# Their keys come from the environment; a colon before an @ would be a password in a place for none.
_BUCKETS = ("s3", "s3a", "gs", "gcs")
_USER = re.compile(r"(?<=//)[^/@\s'\"]*@")
_PASSWORD = re.compile(r"(?<=//)[^/@\s'\"]*:[^/@\s'\"]*@")
_QUERY = re.compile(r"\?[^\s'\",)]*")
# What may stand in a path of RFC 3986 as it is; a percent sign because the rest may be quoted already.
_UNQUOTED = "%/:@!$&'()*+,;=~"


@dataclass(frozen=True, slots=True)
class Address:
    """An address in its parts.

    Attributes
    ----------
    head : str
        Scheme and host or bucket: ``s3://bucket``.
    path : str
        Without slashes at its ends; of a web address still percent-encoded.
    query : str
        With its question mark, or empty. Only web addresses have one.
    """

    head: str
    path: str
    query: str = ""

    @property
    def is_web(self) -> bool:
        """Whether a web server is asked, not an object store."""
        return self.head.partition(":")[0] in _WEB and _CHAIN not in self.head

    @property
    def full(self) -> str:
        """The whole, with what must not be shown."""
        return (f"{self.head}/{self.path}" if self.path else self.head) + self.query

    @property
    def shown(self) -> str:
        """Without user, password and query; percent signs decoded; valid UTF-8."""
        head = redacted(self.head)
        whole = f"{head}/{self.plain(self.path)}" if self.path else head
        return whole.encode("utf-8", "backslashreplace").decode()

    def plain(self, path: str) -> str:
        """A path of this store as people write it, without a query; other bytes than UTF-8 as surrogates."""
        return unquote(path.partition("?")[0], errors="surrogateescape") if self.is_web else path

    @property
    def name(self) -> str:
        """The last part of the path, plain."""
        return posixpath.basename(self.plain(self.path))

    @property
    def folder(self) -> Address:
        """The folder that a file lies in; the file's own query is not the folder's."""
        return Address(self.head, posixpath.dirname(self.path))

    def beside(self, written: str) -> Address:
        """What a line of a list means that lies in this folder: an address, or a path from here."""
        if is_address(written):
            return parse(written)
        if self.is_web:
            base = f"{self.head}/{self.path}/" if self.path else f"{self.head}/"
            return parse(urljoin(base, written))
        start = "" if written.startswith("/") else self.path
        return Address(self.head, posixpath.normpath(posixpath.join(start, written.lstrip("/"))))


def is_address(text: str) -> bool:
    """Whether a name is an address and no path: it has a scheme, ``://`` and two letters or more."""
    return _SCHEME.match(text) is not None and "://" in text


def redacted(text: str) -> str:
    """Any text without what may be a secret in the addresses it holds: users, passwords, queries."""
    if "://" not in text:
        return text
    web = re.search(r"https?://", text) is not None
    return _QUERY.sub("", (_USER if web else _PASSWORD).sub("", text))


def quoted(path: str) -> str:
    """A web path with what may not stand in one percent-encoded; what is encoded already stays."""
    return quote(path, safe=_UNQUOTED, errors="surrogateescape")


def parse(text: str) -> Address:
    """Take an address apart.

    Raises
    ------
    UsageError
        If it names no host or bucket, or holds credentials or a query where its store knows none.
    """
    if _CHAIN in text:
        return Address(text.rstrip("/"), "")
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    host, _, path = rest.partition("/")
    if scheme in _WEB:
        try:
            split = urlsplit(text)
        except ValueError as exc:  # a bracket left open, as of an IPv6 address
            raise UsageError(f"{redacted(text)}: not an address ({exc}); give {scheme}://HOST/PATH") from exc
        query = f"?{split.query}" if split.query else ""
        host = split.netloc
        path = quoted(split.path)
        if not split.hostname:
            raise UsageError(f"{redacted(text)}: no host is named; give {scheme}://HOST/PATH")
        return Address(f"{scheme}://{host}", path.strip("/"), query)
    if scheme in _BUCKETS:
        if not host:
            raise UsageError(f"{redacted(text)}: no bucket is named; give {scheme}://BUCKET/PATH")
        if "@" in host or ("?" in path and "=" in path.partition("?")[2]):
            raise UsageError(
                f"{redacted(text)}: keys and signatures do not belong into a {scheme}:// address; put keys "
                "where the store's own tools find them (environment, profile), give signed addresses as https://"
            )
    return Address(f"{scheme}://{host}", path.strip("/"))


def common_folder(folders: list[Address]) -> Address:
    """The nearest folder that some folders of one head lie in."""
    if len(set(folders)) == 1:
        return folders[0]
    parts = [folder.path.split("/") if folder.path else [] for folder in folders]
    shared = 0
    while all(len(part) > shared for part in parts) and len({part[shared] for part in parts}) == 1:
        shared += 1
    return Address(folders[0].head, "/".join(parts[0][:shared]))
