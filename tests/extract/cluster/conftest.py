"""A cluster of two nodes for the tests of this folder, and what one process makes of the same images."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PIL import Image

from tests.extract.cluster.nodes import BROKEN, N_IMAGES, Nodes
from tests.support import CommandLine


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Images that take a moment each, two of them broken, and what one process makes of them."""
    here = CommandLine(tmp_path_factory.mktemp("ray")).with_tiny_network()
    for i in range(N_IMAGES):
        colour = ("blue", "red")[i % 2]
        (here.folder / "imgs" / colour).mkdir(parents=True, exist_ok=True)
        # A large picture is a small file where it is plain; each one differs.
        picture = Image.new("RGB", (640, 640), (i % 256, i // 2 % 256, 90))
        picture.paste((255 - i % 256, 10, 200), (i, 0, 300 + i, 200 + i))
        picture.save(here.folder / "imgs" / colour / f"{i:04}.png", compress_level=1)
    for name in BROKEN:
        (here.folder / "imgs" / name).write_bytes(b"broken")
    here.incomplete("extract", "imgs", "--network", "tiny", "-o", "whole.h5", "-b", "8")
    return here


@pytest.fixture(scope="package")
def nodes(cli: CommandLine) -> Iterator[Nodes]:
    """The cluster, and this process connected to it."""
    import ray

    nodes = Nodes()
    ray.init(address=nodes.address, log_to_driver=False, logging_level="CRITICAL")
    yield nodes
    ray.shutdown()
    nodes.close()
