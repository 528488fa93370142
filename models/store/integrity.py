"""What is run is what was saved: a network's files are checked when an engine opens them.

A fingerprint is computed once, when a network is saved. Whoever trusts it later must know that the files are
still those: a bad disk, a copy that was cut short, and ``models import --replace`` in the midst of a run all
change features under a fingerprint that says nothing of it.

- CRC-32 of every file lies beside it since the network was saved (`CRCS_FILE`): it takes a third of the time
  of SHA-256, and damage is what it is for. ``models verify`` compares SHA-256, and so does this where an
  earlier version saved the network without CRCs.
- A file that was checked is remembered by device, inode, size, modification and change time (`_Memory`), and
  is not read for it again.
- The files are opened first, checked through these handles, and compared with what lies under their names
  when the engine, which opens by name, is done: nothing was put in their place meanwhile.
- They are compared again before every batch: a network that is replaced ends the run by name, before hours
  of work go into a network that is no more.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from fc7.models.common.durable import write_whole
from fc7.models.common.errors import WeightsError
from fc7.models.common.program import command_line
from fc7.models.network.spec import NetworkSpec
from fc7.models.store.paths import store_root

SPEC_FILE, GRAPH_FILE, SUMS_FILE, CRCS_FILE = "network.json", "network.onnx", "SHA256SUMS", "CRC32SUMS"
_MEMORY_FILE = "checked.json"
# Stays in a core's own cache.
_PIECE = 1 << 18
# A file that is written again within one tick of the file system's clock keeps its times: what has just been
# written is checked, and remembered only when it is older than any tick (FAT's is two seconds).
_TICK = 3.0

State = tuple[int, int, int, int, int]


def write_crcs(folder: Path) -> None:
    """Note the CRC-32 of every file of a network, as ``<8 hex digits>  <name>`` lines.

    Raises
    ------
    OSError
    """
    lines = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as stream:
            lines.append(f"{_crc(stream)}  {path.name}\n")
    (folder / CRCS_FILE).write_text("".join(lines), encoding="utf-8")


@contextmanager
def unchanged(graph_path: Path, spec: NetworkSpec) -> Iterator[Callable[[], None]]:
    """See that a network is the one it is taken for, before and after its files are opened inside.

    Yields a function that compares the files by name, size and time with those that were opened, at any
    later moment; it raises as this does.

    Parameters
    ----------
    graph_path : Path
        ``network.onnx`` of a network's folder; any other graph has no description, and is not looked at.
    spec : NetworkSpec
        As it was loaded; its preprocessing may differ from the file's.

    Raises
    ------
    WeightsError
        If a file is damaged, missing, or another network's by now.
    """
    folder = graph_path.parent
    if graph_path.is_file() and not any(
        (folder / name).exists() for name in (SPEC_FILE, SUMS_FILE, CRCS_FILE)
    ):
        yield lambda: None  # a graph that no store holds
        return
    with ExitStack() as stack:
        try:
            opened = {path: stack.enter_context(path.open("rb")) for path in _files(folder)}
            states = {path: _state(os.fstat(stream.fileno())) for path, stream in opened.items()}
            _compare_spec(folder, opened, spec)
            _compare_sums(folder, opened, states)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise _replaced(spec, folder) from exc
        except OSError as exc:
            raise WeightsError(
                f"{folder}: cannot be read ({exc.strerror or exc}); check its rights and the disk"
            ) from exc

        def compare() -> None:
            if not all(_is_still(path, state) for path, state in states.items()):
                raise _replaced(spec, folder)

        yield compare
        compare()


def is_damaged(folder: Path) -> bool:
    """Whether files of a network are missing, or changed since they were checked last.

    A file is read only if it was checked before and has another size, time or inode since: what was never
    checked is believed, until an engine opens it.

    Parameters
    ----------
    folder : Path
        Of the store.
    """
    with ExitStack() as stack:
        try:
            opened = {path: stack.enter_context(path.open("rb")) for path in _files(folder)}
            states = {path: _state(os.fstat(stream.fileno())) for path, stream in opened.items()}
            _compare_sums(folder, opened, states, believe_unchecked=True)
        except (WeightsError, OSError):
            return True
    return False


def recorded_sums(text: str) -> dict[str, str]:
    """File name -> digest, of lines as ``sha256sum`` writes them."""
    return {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines())}


def _files(folder: Path) -> list[Path]:
    """A network's files; hidden ones are those of file managers."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _compare_spec(folder: Path, opened: Mapping[Path, BufferedReader], spec: NetworkSpec) -> None:
    """The description beside the graph is of the weights that `spec` speaks of."""
    text = opened[folder / SPEC_FILE].read() if folder / SPEC_FILE in opened else b""
    try:
        found = NetworkSpec.from_json(text.decode())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise WeightsError(
            f"{folder / SPEC_FILE}: damaged ({exc}); remove the network and pull or import it again"
        ) from exc
    if {layer.tensor: layer.digest for layer in found.layers} != {
        layer.tensor: layer.digest for layer in spec.layers
    }:
        raise _replaced(spec, folder)


def _replaced(spec: NetworkSpec, folder: Path) -> WeightsError:
    return WeightsError(
        f"network {spec.name!r} was replaced or changed during this run: the files in {folder} are no longer "
        "those that its fingerprint was taken of. What was done before is kept; run the same command again"
    )


def _compare_sums(
    folder: Path,
    opened: Mapping[Path, BufferedReader],
    states: Mapping[Path, State],
    *,
    believe_unchecked: bool = False,
) -> None:
    """Every file is as it was recorded, by its CRC-32 or, of networks saved without, its SHA-256."""
    sums = folder / (CRCS_FILE if folder / CRCS_FILE in opened else SUMS_FILE)
    digest_of = _crc if sums.name == CRCS_FILE else _sha256
    if sums not in opened:
        raise _damaged(sums, "is missing")
    recorded = recorded_sums(opened[sums].read().decode("utf-8", "replace"))
    missing = [name for name in (SPEC_FILE, GRAPH_FILE, *recorded) if folder / name not in opened]
    if missing or not {SPEC_FILE, GRAPH_FILE} <= recorded.keys():
        raise _damaged(folder / (missing or [sums.name])[0], "is missing or incomplete")
    memory = _Memory()
    for name, digest in recorded.items():
        path = folder / name
        if memory.knows(path, states[path], digest) or (believe_unchecked and not memory.has(path)):
            continue
        opened[path].seek(0)
        found = digest_of(opened[path])
        if found != digest:
            raise _damaged(path, f"has the checksum {found}, and had {digest} when it was saved")
        memory.note(path, states[path], digest)
    memory.save()


def _damaged(path: Path, what: str) -> WeightsError:
    remove, verify = (command_line("models", verb, path.parent.name) for verb in ("remove", "verify"))
    return WeightsError(
        f"{path} {what}: the file was damaged or changed. Copy the network again, or take it out with "
        f"`{remove}` and pull or import it anew; `{verify}` checks every file"
    )


def _crc(stream: BufferedReader) -> str:
    crc, piece = 0, memoryview(bytearray(_PIECE))
    while length := stream.readinto(piece):
        crc = zlib.crc32(piece[:length], crc)
    return f"{crc:08x}"


def _sha256(stream: BufferedReader) -> str:
    return hashlib.file_digest(stream, "sha256").hexdigest()


def _state(found: os.stat_result) -> State:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_still(path: Path, state: State) -> bool:
    """Whether the file that was opened lies under its name; a share that gives no answer changes nothing."""
    try:
        found = _state(path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    # A new link to a file, as a backup makes it, changes its last time only.
    return found[:-1] == state[:-1]


class _Memory:
    """Which files were checked, in ``<root>/checked.json``: path -> its state and its checksum.

    Losing it costs a check, so what cannot be read or written is let be.
    """

    def __init__(self) -> None:
        self._path = store_root() / _MEMORY_FILE
        self._known: dict[str, list[object]] = {}
        self._changed = False
        with suppress(OSError, ValueError):
            read = json.loads(self._path.read_text(encoding="utf-8"))
            self._known = read if isinstance(read, dict) else {}

    def knows(self, path: Path, state: State, digest: str) -> bool:
        return self._known.get(str(path)) == [*state, digest]

    def has(self, path: Path) -> bool:
        """Whether it was ever checked."""
        return str(path) in self._known

    def note(self, path: Path, state: State, digest: str) -> None:
        if time.time() - max(state[3:]) / 1e9 > _TICK:
            self._known[str(path)] = [*state, digest]
            self._changed = True

    def save(self) -> None:
        if self._changed:
            here = {path: entry for path, entry in self._known.items() if Path(path).exists()}
            with suppress(OSError):
                write_whole(self._path, json.dumps(here, indent=1).encode())
