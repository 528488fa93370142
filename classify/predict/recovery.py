"""A run over images whose rows are not kept, after one that died: `extract.worker.recovery` for predictions.

The folder of what is being read lies beside the file that is written, as ``OUT.work``; for results on stdout
in the store, under a name that the inputs give. It goes when the run ends, so an image that was given up is
tried anew by the run after that.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

from fc7.extract.cache.format.files import work_path
from fc7.extract.options import RunOptions
from fc7.extract.records import Listing
from fc7.extract.worker.read_ahead import NO_CARE, Care
from fc7.extract.worker.recovery import Recovery
from fc7.models.common.locks import Busy, exclusive
from fc7.models.common.progress import Notify
from fc7.models.outputs.outputs import Destination, Output
from fc7.models.store.paths import store_root

_AGAIN = "the next run tries it again"


@contextmanager
def recover_from_crash(
    listing: Listing, out: Destination | None, notify: Notify
) -> Iterator[tuple[Listing, Care]]:
    """What is done about images of which the run before may have died.

    Parameters
    ----------
    out : str, Path, Output or None
        Where the results go; what is no `Output` is stdout.
    notify : callable
        Is told which images are tried alone.

    Yields
    ------
    listing : Listing
        The images that are given up are failures in it.
    care : Care
        For `extract.worker.worker.on_this_machine`.

    Notes
    -----
    Of two runs at once with one folder the second goes without, and so does one that cannot write there.
    """
    folder = _folder(listing, out)
    with ExitStack() as stack:
        try:
            folder.mkdir(exist_ok=True)
            stack.callback(_remove_if_empty, folder)
            stack.enter_context(exclusive(folder / "lock"))
        except (Busy, OSError):
            found = listing, NO_CARE
        else:
            recovery = stack.enter_context(Recovery(folder, listing.images, (), notify=notify, again=_AGAIN))
            failures = [*listing.failures, *recovery.given_up]
            found = dataclasses.replace(listing, images=recovery.work, failures=failures), recovery.care
        yield found


def recover_unless_cache(
    listing: Listing | Path, out: Destination | None, options: RunOptions, notify: Notify
) -> AbstractContextManager[tuple[Listing | Path, Care]]:
    """`recover_from_crash` for what `list_unless_cache` gave; a cluster finds what ends a process."""
    if isinstance(listing, Path) or options.cluster is not None:
        return nullcontext((listing, NO_CARE))
    return recover_from_crash(listing, out, notify)


def _folder(listing: Listing, out: Destination | None) -> Path:
    if isinstance(out, Output) and not out.place.stream:
        return work_path(out.place.target)
    inputs = "\0".join([os.getcwd(), *listing.roots])  # noqa: PTH109
    key = hashlib.blake2b(os.fsencode(inputs), digest_size=8).hexdigest()
    return work_path(store_root() / f"run-{key}")


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
