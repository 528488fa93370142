"""From a name of the catalogue to a network in the store: fetch, check, import, tidy up.

`huggingface_hub` (2.4) brings 33 MB with what it needs, for one of the hosts.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from fc7.models.backbones.known import BUILT
from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import CatalogEntry, WeightSource
from fc7.models.catalog.published import file_hash
from fc7.models.common.errors import DownloadError, StoppedError, UsageError, WeightsError
from fc7.models.common.program import command_line
from fc7.models.common.progress import Notify, Progress
from fc7.models.network.spec import Pool, PreprocessSpec
from fc7.models.store import pins, store
from fc7.models.store.download import Wanted, alone_with, fetch
from fc7.models.store.installed import installed_file, not_installed
from fc7.models.store.preprocess_options import HOW_TO_SAY, PreprocessOptions
from fc7.models.store.store import StoredNetwork
from fc7.models.store.unavailable import how_to_bring, size_note

if TYPE_CHECKING:
    from fc7.models.store.importing import NetworkTrial

_SHA256 = re.compile("[0-9A-Fa-f]{64}")
_PINNED = "was pinned here on"
_REPIN = """
If the publisher says that the file was replaced:
  {again} --sha256 HEX
    with the hash that is published now, or --repin to trust what comes as on the first day"""


@dataclass(frozen=True, slots=True)
class PullOptions:
    """What the user says beyond the name.

    Attributes
    ----------
    from_url : str or None
        Fetch from here instead of the catalogue's addresses.
    sha256 : str or None
        What the file must hash to, where the catalogue does not say; it comes before what was pinned.
    unverified : bool
        Take a file whose hash nobody published, also over http.
    arch, preprocess, layer, pool
        As for `models.store.importing.import_network`; None takes the catalogue's.
    replace : bool
        Fetch even if the store has a network of that name, and replace it.
    repin : bool
        Trust the file that comes now in place of the one that was trusted on first use; replaces too.
    """

    from_url: str | None = None
    sha256: str | None = None
    unverified: bool = False
    arch: str | None = None
    preprocess: PreprocessSpec | PreprocessOptions | None = None
    layer: str | None = None
    pool: Pool | None = None
    replace: bool = False
    repin: bool = False


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of `pull`."""

    name: str
    known: CatalogEntry | None
    options: PullOptions
    progress: Progress
    notify: Notify | None
    trial: NetworkTrial | None


def pull(
    name: str,
    progress: Progress,
    options: PullOptions | None = None,
    notify: Notify | None = None,
    trial: NetworkTrial | None = None,
) -> StoredNetwork:
    """Make sure that the store has the network `name`.

    Parameters
    ----------
    name : str
        Of the catalogue, or a new one with `PullOptions.from_url`.
    notify : callable or None
        Is given one-line notes: what is fetched from where, what the import decided, and of a file that was
        trusted on first use.
    trial : callable or None
        As for `models.store.importing.import_network`. A file that does not pass counts as one that cannot be
        read: the next source is asked.

    Returns
    -------
    StoredNetwork
        The one that was there already, unless `PullOptions.replace` or `PullOptions.repin`.

    Raises
    ------
    UnknownNetworkError
        If the catalogue has no such network.
    UsageError
        If nobody published the hash of a file from an address of the user's or over plain http, or how
        the network's images are prepared; or if `sha256` or `repin` does not fit the network.
    WeightsError
        If an installed package's file of it is missing, altered or cannot be used.
    DownloadError
        If no source gave it; the text says what was tried and the ways out.
    StoppedError
        On Ctrl-C while fetching.
    Fc7Error
        If what was trusted on first use, or the store, cannot be read or written.

    Notes
    -----
    A file of the catalogue whose sha256 nobody published is trusted on first use (`models.store.pins`): what
    comes over https is taken, the first digits checked where they are known, and must come again the
    next time. The first time nothing but TLS vouches for it.
    """
    from fc7.models.store.importing import build_untrained

    options = options or PullOptions()
    store.check_name(name)
    if name in store.names() and not (options.replace or options.repin):
        return store.load(name)
    known = _known(name, options)
    if known is not None and not known.trained:
        return build_untrained(name)
    sources = _sources(name, known, options)
    stated = PreprocessOptions.of(options.preprocess)
    if known is not None and known.preprocess is None and stated.preset is None and not stated.arithmetic:
        raise UsageError(f"{name}: its publisher never said how images were prepared; {HOW_TO_SAY}")
    call = _Call(name, known=known, options=options, progress=progress, notify=notify, trial=trial)
    attempts: list[tuple[str, str]] = []
    for source in sources:
        if notify is not None and source.urls:
            notify(f"{name}: fetching {source.filename}{size_note(source)} from {_hosts(source)}")
        file = downloads() / safe_name(f"{name}-{source.filename}")
        try:
            with alone_with(file):
                return _from(source, file, call)
        except DownloadError as exc:
            if not exc.attempts:
                raise  # the disk's fault, or a package's that pip brings; no other source mends it
            attempts += exc.attempts
        except WeightsError as exc:
            if source.package:
                raise
            attempts.append((source.urls[0], f"fetched, but: {exc}"))
    repin = _REPIN.format(again=command_line("models", "pull", name)) if _was_pinned(attempts) else ""
    ways = known.sources if known is not None else ()
    raise DownloadError(how_to_bring(name, ways, attempts) + repin, tuple(attempts))


def _known(name: str, options: PullOptions) -> CatalogEntry | None:
    if options.from_url is not None and name not in catalog.names():
        return None
    return catalog.entry(name)


def _sources(name: str, known: CatalogEntry | None, options: PullOptions) -> Sequence[WeightSource]:
    """What to fetch, each with a hash to check it by unless the user does without."""
    sources = known.sources if known is not None else ()
    if options.sha256 is not None and not _SHA256.fullmatch(options.sha256):
        raise UsageError(f"--sha256 {options.sha256}: 64 hex digits are needed, as sha256sum prints them")
    if options.from_url is not None:
        file = unquote(PurePosixPath(urlsplit(options.from_url).path).name) or f"{name}.download"
        # A mirror of one of the catalogue's files: what was published of that file holds for it.
        like = next((source for source in sources if source.filename == file), None)
        size = like.size if like is not None and options.sha256 is None else None
        sha256 = options.sha256 or (like.sha256 if like is not None else None)
        sha1 = like.sha1 if like is not None and options.sha256 is None else None
        prefix = like.sha256_prefix if like is not None else ""
        sources = (
            WeightSource((options.from_url,), file, size, sha256=sha256, sha1=sha1, sha256_prefix=prefix),
        )
    elif options.sha256 is not None and all(source.has_hash for source in sources):
        raise UsageError("--sha256 was given without --from; the catalogue's own files have their hashes")
    if options.repin and not any(_on_first_use(source, options) for source in sources):
        raise UsageError(f"--repin: no file of {name!r} is trusted on first use; pull it without")
    for source in sources:
        vouched = source.has_hash or options.sha256 is not None or options.unverified
        if not (vouched or _on_first_use(source, options)):
            raise UsageError(
                f"nobody published a hash of {source.filename} for {name!r}, so a damaged or exchanged file "
                "would not be noticed; give --sha256 HEX, or --unverified to take it as it comes"
            )
    return sources


def _on_first_use(source: WeightSource, options: PullOptions) -> bool:
    """Whether the file is the catalogue's, with no hash but TLS to vouch for it the first time."""
    over_tls = all(urlsplit(url).scheme == "https" for url in source.urls)
    return not source.has_hash and over_tls and options.from_url is None


def _from(source: WeightSource, file: Path, call: _Call) -> StoredNetwork:
    """The network from one source, and its file pinned if this was its first use."""
    if source.package:
        installed = installed_file(source)
        if installed is None:
            raise not_installed(source)
        return _imported(source, installed, call)
    first = _on_first_use(source, call.options)
    before = pins.pinned(call.name, source.filename) if first else None
    _fetch(source, file, _wanted(source, before, call.options), progress=call.progress)
    if not first:
        return _imported(source, file, call)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    now = pins.Pin(file_hash(file, "sha256"), file.stat().st_size, today, source.urls)
    network = _imported(source, file, call)  # first: what cannot be read is not worth a pin
    if before is None or before.sha256 != now.sha256:
        pins.keep(call.name, source.filename, now)
        (call.notify or (lambda note: None))(_pinned_note(source, now, call.options))
    return network


def _wanted(source: WeightSource, pin: pins.Pin | None, options: PullOptions) -> Wanted:
    """What the file is checked by: what was published of it, else the user's word, else the pin."""
    if source.has_hash:
        return Wanted(source.size, source.sha256, source.sha1)
    if options.sha256 is not None:
        return Wanted(sha256=options.sha256, stated="was given with --sha256")
    if pin is not None and not options.repin:
        return Wanted(sha256=pin.sha256, stated=f"{_PINNED} {pin.date}")
    return Wanted(source.size, sha256_prefix=source.sha256_prefix)


def _pinned_note(source: WeightSource, pin: pins.Pin, options: PullOptions) -> str:
    if options.sha256 is not None:
        why = "has the sha256 that you gave"
    elif source.sha256_prefix:
        why = f"only the first {len(source.sha256_prefix)} digits of its sha256 are known, and it has them"
    else:
        why = "nobody here could check its hash"
    return f"{source.filename}: {why}; pinned now, the next pull must bring the same: sha256 {pin.sha256}"


def _fetch(source: WeightSource, file: Path, wanted: Wanted, progress: Progress) -> None:
    try:
        fetch(source.urls, file, wanted, progress=progress)
    except KeyboardInterrupt as exc:
        raise StoppedError(
            f"stopped; what was fetched of {source.filename} is kept, and the same call goes on from there"
        ) from exc


def _imported(source: WeightSource, file: Path, call: _Call) -> StoredNetwork:
    from fc7.models.store.importing import ImportOptions, import_network

    known, options = call.known, call.options
    try:
        network = import_network(
            file,
            call.name,
            ImportOptions(
                arch=options.arch or (known.arch if known is not None and known.arch in BUILT else None),
                preprocess=PreprocessOptions.of(options.preprocess).on(
                    known.preprocess if known is not None else None
                ),
                layer=options.layer or (known.default_layer if known is not None else None),
                pool=options.pool or (known.pool if known is not None else None),
                replace=options.replace or options.repin,
                source=source.origin,
                licence=known.licence if known is not None and options.from_url is None else "",
            ),
            notify=call.notify,
            trial=call.trial,
        )
    except WeightsError:
        if not source.package:
            file.unlink()  # it is what was published, and fetching it again would not change it
        raise
    # After any other error the file stays: the next pull finds it and need not fetch it again.
    if not source.package:
        file.unlink()
    return network


def _hosts(source: WeightSource) -> str:
    return " or ".join(dict.fromkeys(urlsplit(url).hostname or url for url in source.urls))


def downloads() -> Path:
    """Where files lie until they are imported; what is left of a stopped download is found again here."""
    return store.store_root() / "downloads"


def safe_name(filename: str) -> str:
    """A file name from an address, without what some system forbids in names."""
    kept = "".join(c if c.isalnum() or c in "._-" else "_" for c in filename).strip(".")
    return kept[-100:] or "download"


def _was_pinned(attempts: Sequence[tuple[str, str]]) -> bool:
    return any(_PINNED in reason for _, reason in attempts)
