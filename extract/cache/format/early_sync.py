"""A file on its way to the disk while more of it is written."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

# Each call also writes the file's size into the journal; a disk takes longer than that for so many bytes.
_BYTES = 64 << 20


class EarlySync:
    """Has the system write out what it holds of a file, so that the last fsync has little left to wait for.

    Parameters
    ----------
    descriptor : int
        Of a file that stays open until `close`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting = 0
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def written(self, size: int) -> None:
        """Say how many bytes were written since the last call.

        Raises
        ------
        OSError
            If earlier ones could not be brought onto the disk: a system tells each failure once only.
        """
        self._waiting += size
        if self._waiting < _BYTES or (self._running and not self._running.done()):
            return
        self._check()
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="fsync")
        self._waiting, self._running = 0, self._thread.submit(os.fsync, self._descriptor)

    def finish(self) -> None:
        """Bring everything onto the disk.

        Raises
        ------
        OSError
            If that failed, now or earlier.
        """
        self._check()
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Wait until nothing uses the file any more."""
        if self._thread is not None:
            self._thread.shutdown()

    def _check(self) -> None:
        if self._running is not None:
            self._running.result()
