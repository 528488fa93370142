"""The command line where an image ends the process: ``python -m tests.support.classify.deadly HOW
ARGUMENT...``.

HOW is the path of an image, and whoever reads it is killed. Or it is ``lying``: no image is believed what its
header says, so the kernel ends what takes too much.
"""

from __future__ import annotations

import os
import signal
import sys

from fc7.cli import main
from fc7.extract.images.budget import Budget
from fc7.extract.inputs.places.folders import FolderOrigin
from fc7.extract.records import ImageRef

_read = FolderOrigin.read


def begin(how: str, *arguments: str) -> None:
    def read(origin: FolderOrigin, ref: ImageRef) -> bytes:
        if ref.path == how:
            os.kill(os.getpid(), signal.SIGKILL)
        return _read(origin, ref)

    if how == "lying":
        Budget._admits = lambda *_: True  # type: ignore[method-assign]
    else:
        FolderOrigin.read = read  # type: ignore[method-assign, assignment]
    sys.argv[1:] = arguments
    main()


if __name__ == "__main__":
    begin(*sys.argv[1:])
