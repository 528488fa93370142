"""``python -m tests.benchmarks.commits``: what changing 1 % of a feature cache costs, beside a copy of it.

Each round copies the file with ``cp``, with and without bringing the copy onto the disk, as a commit does,
and commits every change, by this checkout and by those of ``--against``, each to a cache that it made itself.
The ratios are those of one round; what is printed are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

_ROOT = Path(__file__).resolve().parents[2]
_CHANGES = ("add", "add-anywhere", "remove", "remove-anywhere", "relabel", "one")
Took = dict[str, float]


def path_of(checkout: Path) -> Path:
    """What has to be on Python's path for the fc7 of a checkout; early ones have their rooms at the top."""
    package = checkout / ".package"
    return package if package.is_dir() else checkout


def commit(checkout: Path, change: str, path: Path, rows: int, dim: int) -> Took:
    """One commit, in a process of its own."""
    script = [sys.executable, "-P", str(_ROOT / "tests/benchmarks/one_commit.py")]
    environment = os.environ | {"PYTHONPATH": str(path_of(checkout))}
    ran = subprocess.run(
        [*script, change, str(path), str(rows), str(dim)],
        env=environment,
        cwd=path.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    took: Took = json.loads(ran.stdout)
    return took | {"cpu": took["user"] + took["system"]}


def copy(source: Path, target: Path) -> Took:
    """``cp``, and what it takes with the copy brought onto the disk."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(["cp", str(source), str(target)], check=True)
    wall = time.perf_counter() - started
    with target.open("rb") as stream:
        os.fsync(stream.fileno())
    on_disk = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    target.unlink()
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"wall": wall, "on_disk": on_disk, "cpu": cpu}


def measure(folder: Path, checkouts: Sequence[Path], chosen: argparse.Namespace) -> None:
    """All rounds, interleaved; prints a line for every change."""
    bases = [folder / f"base-{number}.h5" for number in range(len(checkouts))]
    for checkout, base in zip(checkouts, bases, strict=True):
        took = commit(checkout, "make", base, chosen.rows, chosen.dim)
        print(f"{checkout}: first commit {took['cpu']:.2f} s of CPU, {took['wall']:.2f} s", flush=True)
    found: dict[str, list[list[Took]]] = {change: [] for change in chosen.changes}
    for number in range(chosen.rounds):
        for change in chosen.changes:
            round_: list[Took] = [copy(bases[0], folder / "copy.h5")]
            for checkout, base in zip(checkouts, bases, strict=True):
                path = folder / f"round-{number}.h5"
                # A commit puts a new file in the place of the old one, which keeps its other name.
                path.hardlink_to(base)
                round_.append(commit(checkout, change, path, chosen.rows, chosen.dim))
                path.unlink()
            found[change].append(round_)
            print(f"round {number + 1}, {change}: {_line(checkouts, [round_])}", file=sys.stderr, flush=True)
    for change, rounds in found.items():
        print(f"{change}: {_line(checkouts, rounds)}")


def _line(checkouts: Sequence[Path], rounds: Sequence[Sequence[Took]]) -> str:
    def mid(which: int, key: str) -> float:
        return median(round_[which][key] for round_ in rounds)

    said = [
        f"cp {mid(0, 'cpu'):.2f} s of CPU, {mid(0, 'wall'):.2f} s, {mid(0, 'on_disk'):.2f} s onto the disk"
    ]
    for which, checkout in enumerate(checkouts, 1):
        cpu = median(round_[which]["cpu"] / round_[1]["cpu"] for round_ in rounds)
        plain, on_disk = (
            median(round_[which]["wall"] / round_[0][key] for round_ in rounds) for key in ("wall", "on_disk")
        )
        said.append(
            f"{checkout.name} {mid(which, 'cpu'):.2f} s of CPU ({mid(which, 'user'):.2f} its own; {cpu:.2f} "
            f"times the first's), {mid(which, 'wall'):.2f} s: {plain:.2f} of cp, {on_disk:.2f} of cp onto "
            f"the disk; {mid(which, 'megabytes'):.0f} MB more"
        )
    return "; ".join(said)


def main() -> None:
    """Made-up rows, in a folder that is removed again."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.commits")
    parser.add_argument("changes", nargs="*", default=list(_CHANGES), metavar="CHANGE", help=str(_CHANGES))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, action="append", default=[], metavar="CHECKOUT")
    parser.add_argument("--folder", type=Path, default=None, help="where files may be written")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as temporary:
        measure(Path(temporary), [_ROOT, *(path.resolve() for path in chosen.against)], chosen)


if __name__ == "__main__":
    main()
