"""What is said, and which locks are freed, when Ray ends this process by itself.

Ray ends a process whose node is gone in the midst of whatever it asks it, at once and from within its own
code: nothing of Python's runs then, and nothing is printed (2.60). Where that comes before
`extract.cluster.heartbeat` has seen it, a small process speaks that waits for the end of this one.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fc7.extract.cache.format.lock import held_locks
from fc7.extract.cluster.heartbeat import Endpoint, lost_message, why_silent
from fc7.models.common.own_python import command
from fc7.models.common.stopping import before_end


class ExitReporter:
    """Speaks for this process if it ends within the block without a word; a context manager.

    Parameters
    ----------
    places : sequence of Endpoint
        Without which Ray ends this process. If all of them answer, it was something else.
    """

    def __init__(self, places: Sequence[Endpoint]) -> None:
        self._process: subprocess.Popen[str] | None = None
        # Without it the run is as good.
        with contextlib.suppress(OSError):
            about = {
                "places": [[place.name, place.address, place.remedy] for place in places],
                "locks": [[str(path), path.read_text(encoding="utf-8")] for path in held_locks()],
            }
            self._process = subprocess.Popen(
                command("fc7.extract.cluster.guard"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
            self._tell(json.dumps(about))
        self._unregister = before_end(self.dismiss)

    def __enter__(self) -> ExitReporter:
        return self

    def __exit__(self, *_: object) -> None:
        self._unregister()
        self.dismiss()
        if self._process is not None:
            self._process.wait()

    def dismiss(self) -> None:
        """Say nothing: whoever made it speaks for itself."""
        self._tell("bye")

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin if self._process is not None else None
        if pipe is not None:
            with contextlib.suppress(OSError, ValueError):
                pipe.write(f"{line}\n")
                pipe.flush()


def _main() -> None:
    first, last = sys.stdin.readline(), sys.stdin.readline()
    if last or not first:
        return
    about = json.loads(first)
    places = [Endpoint(name, address, 0, remedy=remedy) for name, address, remedy in about["places"]]
    for place in places:
        why = why_silent(place)
        if why is not None:
            print(f"error: {lost_message(place, why)}", file=sys.stderr, flush=True)
            break
    else:
        return
    for path, content in about["locks"]:
        with contextlib.suppress(OSError):
            if Path(path).read_text(encoding="utf-8") == content:
                Path(path).unlink()


if __name__ == "__main__":
    _main()
