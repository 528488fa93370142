"""From a name of the catalogue to a network in the store: fetch, check, import, tidy up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from models import catalog, store
from models.architectures import ARCHITECTURES
from models.catalog import CatalogEntry, Source
from models.download import fetch
from models.errors import DownloadError, StoppedError, UsageError, WeightsError
from models.preprocess_options import HOW_TO_SAY, PreprocessOptions
from models.progress import Notify, Progress
from models.spec import Pool, PreprocessSpec
from models.store import StoredNetwork


@dataclass(frozen=True, slots=True)
class PullOptions:
    """What the user says beyond the name.

    Attributes
    ----------
    from_url : str or None
        Fetch from here instead of the catalogue's addresses.
    sha256 : str or None
        What the file must hash to, where the catalogue does not say.
    unverified : bool
        Take a file whose hash nobody published.
    arch : str or None
    preprocess : PreprocessSpec, PreprocessOptions or None
    layer : str or None
    pool : {"flatten", "avg", "max"} or None
        As for `models.importing.import_network`; None takes the catalogue's.
    replace : bool
        Fetch even if the store has a network of that name, and replace it.
    """

    from_url: str | None = None
    sha256: str | None = None
    unverified: bool = False
    arch: str | None = None
    preprocess: PreprocessSpec | PreprocessOptions | None = None
    layer: str | None = None
    pool: Pool | None = None
    replace: bool = False


def pull(
    name: str,
    progress: Progress,
    options: PullOptions | None = None,
    notify: Notify | None = None,
) -> StoredNetwork:
    """Make sure that the store has the network `name`.

    Parameters
    ----------
    name : str
        Of the catalogue, or a new one with `PullOptions.from_url`.
    progress : Progress
    options : PullOptions or None
    notify : callable or None
        Is given one-line notes of what the import decided.

    Returns
    -------
    StoredNetwork
        The one that was there already, unless `PullOptions.replace`.

    Raises
    ------
    UnknownNetworkError
        If the catalogue has no such network.
    UsageError
        If nobody published the file's hash, or how the network's images are prepared.
    DownloadError
        If no source gave it; the text says what was tried and the ways out.
    StoppedError
        On Ctrl-C while fetching.
    """
    from models.importing import build_untrained

    options = options or PullOptions()
    store.check_name(name)
    if name in store.names() and not options.replace:
        return store.load(name)
    known = _known(name, options)
    if known is not None and not known.trained:
        return build_untrained(name)
    sources = _sources(name, known, options)
    stated = PreprocessOptions.of(options.preprocess)
    if known is not None and known.preprocess is None and stated.preset is None and not stated.arithmetic:
        raise UsageError(f"{name}: its publisher never said how images were prepared; {HOW_TO_SAY}")
    attempts: list[tuple[str, str]] = []
    for source in sources:
        try:
            file = _fetched(source, progress)
            return _imported(file, name, source, known, options, notify)
        except DownloadError as exc:
            if not exc.attempts:
                raise  # the disk's fault, which no other source mends
            attempts += exc.attempts
        except WeightsError as exc:
            attempts.append((source.urls[0], f"fetched, but: {exc}"))
    raise DownloadError(_ways_out(name, sources, attempts), tuple(attempts))


def _known(name: str, options: PullOptions) -> CatalogEntry | None:
    if options.from_url is not None and name not in catalog.names():
        return None
    return catalog.entry(name)


def _sources(name: str, known: CatalogEntry | None, options: PullOptions) -> Sequence[Source]:
    """What to fetch, each with a hash to check it by unless the user does without."""
    sources = known.sources if known is not None else ()
    if options.from_url is not None:
        file = unquote(PurePosixPath(urlsplit(options.from_url).path).name) or f"{name}.download"
        # A mirror of one of the catalogue's files: what was published of that file holds for it.
        like = next((source for source in sources if source.filename == file), None)
        size = like.size if like is not None and options.sha256 is None else None
        sha256 = options.sha256 or (like.sha256 if like is not None else None)
        sha1 = like.sha1 if like is not None and options.sha256 is None else None
        sources = (Source((options.from_url,), file, size, sha256, sha1),)
    elif options.sha256 is not None:
        raise UsageError("--sha256 was given without --from; the catalogue's own files have their hashes")
    if not options.unverified and not all(source.has_hash for source in sources):
        raise UsageError(
            f"nobody published a hash of {sources[0].filename} for {name!r}, so a damaged or exchanged file "
            "would not be noticed; give --sha256 HEX, or --unverified to take it as it comes"
        )
    return sources


def _fetched(source: Source, progress: Progress) -> Path:
    try:
        return fetch(
            source.urls,
            downloads() / safe_name(source.filename),
            size=source.size,
            sha256=source.sha256,
            sha1=source.sha1,
            progress=progress,
        )
    except KeyboardInterrupt as exc:
        raise StoppedError(
            f"stopped; what was fetched of {source.filename} is kept, and the same call goes on from there"
        ) from exc


def _imported(
    file: Path,
    name: str,
    source: Source,
    known: CatalogEntry | None,
    options: PullOptions,
    notify: Notify | None,
) -> StoredNetwork:
    from models.importing import import_network

    try:
        network = import_network(
            file,
            name,
            arch=options.arch or (known.arch if known is not None and known.arch in ARCHITECTURES else None),
            preprocess=PreprocessOptions.of(options.preprocess).on(
                known.preprocess if known is not None else None
            ),
            layer=options.layer or (known.default_layer if known is not None else None),
            pool=options.pool or (known.pool if known is not None else None),
            replace=options.replace,
            source=source.urls[0],
            notify=notify,
        )
    except WeightsError:
        file.unlink()  # it is what was published, and fetching it again would not change it
        raise
    # After any other error the file stays: the next pull finds it and need not fetch it again.
    file.unlink()
    return network


def downloads() -> Path:
    """Where files lie until they are imported; what is left of a stopped download is found again here."""
    return store.store_root() / "downloads"


def safe_name(filename: str) -> str:
    """A file name from an address, without what some system forbids in names."""
    kept = "".join(c if c.isalnum() or c in "._-" else "_" for c in filename).strip(".")
    return kept[-100:] or "download"


def _ways_out(name: str, sources: Sequence[Source], attempts: Sequence[tuple[str, str]]) -> str:
    """One screen: what was needed, what was tried, what to do."""
    files = " or ".join(
        source.filename + (f" ({source.size / 1e6:.1f} MB)" if source.size else "") for source in sources
    )
    tried = "\n".join(f"  {url}\n    {reason}" for url, reason in attempts)
    return f"""network {name!r} is not in the store and could not be downloaded.
Needed: {files}
Tried:
{tried}
Ways out:
  1. On a machine with a connection: `models pull {name}`, and copy the folder that
     `models path {name}` prints there to {store.store_root() / "networks" / name} here.
  2. With a file of the weights: `models import FILE --as {name}`.
  3. To try the tool without trained weights: `--network alexnet-untrained`."""
