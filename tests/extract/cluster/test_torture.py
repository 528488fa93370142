"""Random faults on clusters of two and three nodes: whatever happens, the rows are those of one process.

``make torture-ray``; each round is a cluster, a set of images and a history of faults of its own, drawn from
its number (``FC7_TORTURE_FIRST`` is the first). A driver that is killed is started again, as a user does.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.extract.cluster.nodes import Nodes, assert_same_content, content
from tests.support import ROOT, CommandLine

ROUNDS = int(os.environ.get("FC7_TORTURE_RAY", "0"))
FIRST = int(os.environ.get("FC7_TORTURE_FIRST", "0"))
MOST_FAULTS = 12
pytestmark = pytest.mark.skipif(not ROUNDS, reason="takes minutes: make torture-ray")
pytest.importorskip("ray", reason="Ray is not installed: pip install 'fc7[ray]'")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("torture")).with_tiny_network()


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(int(request.node.callspec.params["number"]))


@pytest.fixture
def nodes(chance: random.Random) -> Iterator[Nodes]:
    nodes = Nodes(others=chance.choice((1, 2)))
    yield nodes
    nodes.close()


def draw(folder: Path, chance: random.Random) -> list[str]:
    """Pictures of many sizes and modes, a few of them broken or cut short; their paths, sorted."""
    paths = []
    for i in range(chance.randrange(150, 400)):
        place = folder / chance.choice(("one", "two", "drei/vier"))
        place.mkdir(parents=True, exist_ok=True)
        side = chance.randrange(40, 1000)
        ending = chance.choice(("png", "jpg"))
        picture = Image.new("RGB", (side, side // 2 + 8), tuple(chance.randrange(256) for _ in range(3)))
        picture.paste(tuple(chance.randrange(256) for _ in range(3)), (0, 0, side // 3, 8))
        file = place / f"{i:04}.{ending}"
        picture.convert(chance.choice(("RGB", "L"))).save(file)
        fate = chance.random()
        if fate < 0.02:
            file.write_bytes(b"broken" if fate < 0.01 else file.read_bytes()[:-40])
        paths.append(file.relative_to(folder).as_posix())
    return sorted(paths)


def fault(nodes: Nodes, driver: subprocess.Popen[str], chance: random.Random) -> str:
    """Do one thing that happens to clusters."""
    what = chance.choices(("worker", "node", "join", "driver"), (5, 2, 2, 2))[0]
    if what == "worker" and (workers := nodes.workers()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(workers), signal.SIGKILL)
    elif what == "node":
        nodes.lose_one()
    elif what == "join" and len(nodes.others) < 2:
        nodes.one_more()
    elif what == "driver":
        driver.kill()
    return what


@pytest.mark.parametrize("number", range(FIRST, FIRST + ROUNDS))
def test_whatever_happens_the_rows_are_those_of_one_process(
    cli: CommandLine, nodes: Nodes, chance: random.Random, tmp_path: Path, number: int
) -> None:
    images, out = tmp_path / "imgs", tmp_path / "f.h5"
    paths = draw(images, chance)
    cli.good("extract", images, "--network", "tiny", "-b", "8", "-o", tmp_path / "whole.h5")
    readable = [path.decode() for path in content(tmp_path / "whole.h5")["path"]]
    # The first ones are read by the driver too.
    lethal = chance.sample(readable[8:], chance.choice((0, 0, 1, 2)))
    share = chance.choice(("shared", "shared", "apart"))
    drive = [sys.executable, "-m", "tests.extract.cluster.drive"]
    history = [f"{1 + len(nodes.others)} nodes", f"{len(paths)} images", f"{len(lethal)} lethal", share]
    faults = 0
    while True:
        driver = subprocess.Popen(
            [*drive, str(images), str(out), nodes.address, share, *lethal],
            cwd=ROOT,
            env=cli.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        while driver.poll() is None and faults < MOST_FAULTS:
            # Most faults while images are read, some while it starts.
            at_work = any((tmp_path / "f.h5.work").glob("*-*.h5"))
            time.sleep(chance.uniform(0.1, 2) if at_work else chance.uniform(0.5, 6))
            if driver.poll() is None:
                faults += 1
                history.append(fault(nodes, driver, chance) + ("" if at_work else " early"))
        _, said = driver.communicate(timeout=500)
        history.append(f"ended with {driver.returncode}")
        if driver.returncode != -signal.SIGKILL:
            break
    print("\n", number, ": ", ", ".join(history), sep="", flush=True)
    assert driver.returncode == 0, said
    assert "Traceback" not in said
    assert_same_content(content(out), content(tmp_path / "whole.h5"), lethal)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.h5", "imgs", "whole.h5"]
