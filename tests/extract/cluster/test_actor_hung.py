"""A worker in which something hangs: an image ends it, so that the driver finds it; a network the run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fc7.extract.worker.in_flight import left_in
from tests.support import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the file of what is read needs pwrite")

PROGRAM = """
import sys
from pathlib import Path
from fc7.extract.cluster.actor import Actor
from fc7.extract.cluster.messages import Parcel
from fc7.extract.worker.in_flight import InFlight
from fc7.models.common.errors import HungError

class Hanging:
    def process(self, refs, name, watch):
        if sys.argv[2] == "image":
            self.held = watch(refs[1])
            self.held.__enter__()
        raise HungError("it hangs")

actor = Actor()
actor._worker, actor._in_flight, actor._origins = Hanging(), InFlight(Path(sys.argv[1])), [None]
try:
    actor.process(Parcel(["a", "b"], [1, 1], [1, 1], [0, 0], [None, None], "name", 40))
except HungError:
    sys.exit(3)
"""


@pytest.mark.parametrize(("what", "code", "left"), [("image", 1, {41}), ("network", 3, set())])
def test_the_worker_ends_where_an_image_hangs(tmp_path: Path, what: str, code: int, left: set[int]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "file"), what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == code, ran.stderr
    assert left_in(tmp_path / "file") == frozenset(left)
