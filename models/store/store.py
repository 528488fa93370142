"""The user's folder of networks that are ready to run.

::

    <root>/networks/<name>/network.json      what it is: NetworkSpec
                          /network.onnx      the graph
                          /network.weights   its arrays, or any other file that the graph names
                          /CRC32SUMS         of the files above, for whoever opens them
                          /SHA256SUMS        of all of them, as `sha256sum -c` reads it

A network's folder appears by one rename when everything in it is on the disk, so it is whole or not
there. Copied to another machine, also to one where it can only be read, it works as it is.
"""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fc7.models.common.durable import flush, flush_folder, sha256_sums
from fc7.models.common.errors import Fc7Error, UnknownNetworkError, UsageError, WeightsError
from fc7.models.common.locks import exclusive
from fc7.models.common.names import guess
from fc7.models.common.program import command_line
from fc7.models.common.record_repr import one_line_repr
from fc7.models.network.spec import NetworkSpec
from fc7.models.store.integrity import GRAPH_FILE, SPEC_FILE, SUMS_FILE, recorded_sums, write_crcs
from fc7.models.store.paths import check_name, is_name, store_root

__all__ = [
    "StoredNetwork",
    "check_free",
    "check_name",
    "load",
    "names",
    "remove",
    "save",
    "store_root",
    "verify",
]

# Folders of ours begin with a dot, which no name does: a network being written, one being deleted, and
# the one that a replacement has pushed aside.
_WRITING, _LEAVING, _ASIDE = ".writing-", ".leaving-", ".aside-"


@dataclass(frozen=True, slots=True)
class StoredNetwork:
    """A network on this disk.

    Attributes
    ----------
    graph_path : Path
        ``network.onnx``; the files it names lie beside it.
    """

    spec: NetworkSpec
    folder: Path
    graph_path: Path

    __repr__ = one_line_repr

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())


def names() -> list[str]:
    """The networks that are here, sorted; damaged ones too."""
    try:
        found = [path.name for path in _networks().iterdir() if (path / SPEC_FILE).is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise Fc7Error(f"{_networks()}: cannot be read ({exc.strerror or exc}); check its rights") from exc
    # A replacement that was killed between its two renames left the old network aside.
    whole = {name.removeprefix(_ASIDE) for name in found}
    return sorted(name for name in whole if is_name(name))


def load(name: str) -> StoredNetwork:
    """The network called `name`.

    Raises
    ------
    UnknownNetworkError
        If it is not here; the text says what there is.
    WeightsError
        If its folder is incomplete or network.json damaged.

    Examples
    --------
    >>> names()
    ['tiles']
    >>> load("tiles").spec.default_layer
    'tiles'
    """
    folder = _folder(name)
    path = folder / SPEC_FILE
    again = f"remove it (`{command_line('models', 'remove', name)}`) and pull or import it again"
    try:
        spec = NetworkSpec.from_json(path.read_text(encoding="utf-8"))
        spec.layer(spec.default_layer)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UsageError) as exc:
        raise WeightsError(f"{path}: damaged, or written by a newer fc7 ({exc}); {again}") from exc
    except OSError as exc:
        raise WeightsError(f"{path}: cannot be read ({exc.strerror or exc}); check its rights") from exc
    if not (folder / GRAPH_FILE).is_file():
        raise WeightsError(f"{folder}: {GRAPH_FILE} is missing; {again}")
    # A folder that was copied under another name answers to that name.
    return StoredNetwork(dataclasses.replace(spec, name=name), folder, folder / GRAPH_FILE)


def save(spec: NetworkSpec, write: Callable[[Path], None], *, replace: bool) -> StoredNetwork:
    """Put a network into the store, whole or not at all.

    Parameters
    ----------
    spec : NetworkSpec
        `spec.name` is what it will be called.
    write : callable
        Is given an empty folder and writes ``network.onnx`` and what it names into it.
    replace : bool
        Whether a network of that name may be replaced. A kill in between leaves the old one or
        the new one.

    Raises
    ------
    UsageError
        If the name cannot be a folder's everywhere, or is taken and `replace` is False.
    Fc7Error
        If the store cannot be written.
    """
    name = spec.name
    with _writing() as networks:
        check_free(name, replace)
        fresh = networks / f"{_WRITING}{name}-{secrets.token_hex(4)}"
        fresh.mkdir()
        try:
            write(fresh)
            (fresh / SPEC_FILE).write_text(spec.to_json() + "\n", encoding="utf-8")
            write_crcs(fresh)
            sums = "".join(f"{digest}  {file}\n" for file, digest in sha256_sums(fresh).items())
            (fresh / SUMS_FILE).write_text(sums, encoding="utf-8")
            flush(fresh)
            _put(fresh, networks / name)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    return load(name)


def remove(name: str) -> None:
    """Delete a network.

    Raises
    ------
    UnknownNetworkError
        If it is not here.
    """
    with _writing() as networks:
        folder = _folder(name)
        leaving = networks / f"{_LEAVING}{name}-{secrets.token_hex(4)}"
        folder.rename(leaving)
        shutil.rmtree(leaving)
        shutil.rmtree(networks / f"{_ASIDE}{name}", ignore_errors=True)


def verify(name: str) -> None:
    """Hash a network's files against what was recorded when it was saved.

    Files that were not recorded (a desktop's own, say) are of no consequence: the graph, which is
    recorded, does not name them.

    Raises
    ------
    UnknownNetworkError
        If it is not here.
    WeightsError
        If a file is missing or differs, or nothing was recorded.
    """
    folder = _folder(name)
    again = "copy, pull or import the network again"
    try:
        recorded = recorded_sums((folder / SUMS_FILE).read_text(encoding="utf-8"))
        found = sha256_sums(folder)
    except (OSError, ValueError) as exc:
        raise WeightsError(f"{folder}: cannot be verified ({exc}); {again}") from exc
    if not {SPEC_FILE, GRAPH_FILE} <= recorded.keys():
        raise WeightsError(f"{folder / SUMS_FILE}: does not name {SPEC_FILE} and {GRAPH_FILE}; {again}")
    faults = [
        f"{file} has sha256 {found[file]}, not the recorded {digest}"
        if file in found
        else f"{file} is missing"
        for file, digest in recorded.items()
        if found.get(file) != digest
    ]
    if faults:
        raise WeightsError(f"{folder}: {'; '.join(faults)}; {again}")


def check_free(name: str, replace: bool) -> None:
    """See that a network may be saved as `name`.

    Raises
    ------
    UsageError
        If the name cannot be a folder's everywhere, or is taken and `replace` is False.
    """
    check_name(name)
    for taken in names():
        if taken == name and not replace:
            raise UsageError(
                f"the network store has a network {name!r} already; choose another name, or --replace it"
            )
        if taken != name and taken.lower() == name.lower():
            raise UsageError(
                f"the network store has {taken!r}, which is the same folder as {name!r} on Windows and macOS"
                "; choose another name"
            )


def _networks() -> Path:
    return store_root() / "networks"


def _folder(name: str) -> Path:
    """Where the network `name` is, which must be here."""
    check_name(name)
    for folder in (_networks() / name, _networks() / f"{_ASIDE}{name}"):
        if folder.is_dir():
            return folder
    here = names()
    raise UnknownNetworkError(
        f"no network {name!r} in the network store {store_root()}; it has {', '.join(here) or 'none'}."
        f"{guess(name, here)} "
        f"`{command_line('models', 'list')}` shows what `{command_line('models', 'pull', 'NAME')}` brings, "
        "from an installed package too; "
        f"`{command_line('models', 'import', 'FILE', '--as', name)}` brings a file of yours"
    )


@contextmanager
def _writing() -> Iterator[Path]:
    """The folder of networks, ours alone to write, with what killed writers left behind cleared away."""
    networks = _networks()
    try:
        networks.mkdir(parents=True, exist_ok=True)
        with exclusive(networks / ".lock", wait=True) as alone:
            _clear(networks, alone)
            yield networks
    except OSError as exc:
        raise Fc7Error(
            f"{networks}: cannot be written ({exc.strerror or exc}); make room or rights, or point "
            "FC7_HOME to another folder"
        ) from exc


def _clear(networks: Path, alone: bool) -> None:
    """Put back what was pushed aside and not replaced; delete what a killed writer left unfinished."""
    for path in networks.iterdir():
        if not path.name.startswith((_WRITING, _LEAVING, _ASIDE)):
            continue
        # Without a lock another writer may be at work on it; nobody is for a day.
        if not alone and time.time() - path.stat().st_mtime < 86400:
            continue
        target = networks / path.name.removeprefix(_ASIDE)
        if path.name.startswith(_ASIDE) and not target.exists():
            path.rename(target)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _put(fresh: Path, target: Path) -> None:
    """Rename into place. No system can swap two folders portably, so the old one steps aside first."""
    aside = target.with_name(f"{_ASIDE}{target.name}")
    if target.exists():
        shutil.rmtree(aside, ignore_errors=True)
        target.rename(aside)
    fresh.rename(target)
    flush_folder(target.parent)
    shutil.rmtree(aside, ignore_errors=True)
