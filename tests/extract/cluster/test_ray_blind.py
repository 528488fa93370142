"""The driver's folders lie where the nodes cannot see them, as on a disk of its own: a mount of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.extract.cluster.nodes import BROKEN, N_IMAGES, Nodes, assert_same, needs_ray
from tests.support import CommandLine, Ran, command, read_json

pytestmark = [*needs_ray, pytest.mark.apart]
pytest.importorskip("ray", reason="Ray is not installed: pip install 'fc7[ray]'")

# Whoever is not root may mount where they are root in a namespace of their own users.
APART = ["unshare", "--mount"] if hasattr(os, "getuid") and os.getuid() == 0 else ["unshare", "-r", "--mount"]


class Apart:
    """A folder that only the processes run here see; outside it is empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def run(self, cli: CommandLine, script: str) -> Ran:
        mount = f"mount -t tmpfs none {shlex.quote(str(self.folder))}"
        environment = {**cli.environment(), "FC7_HOME": str(self.folder / "store")}
        done = subprocess.run(
            [*APART, "sh", "-c", f"{mount} && {{ {script}\n}}"],
            cwd=cli.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def apart(tmp_path: Path, cli: CommandLine) -> Apart:
    apart = Apart(tmp_path / "apart")
    if shutil.which("unshare") is None or apart.run(cli, "touch apart/seen; true").code != 0:
        pytest.skip("no mount of a process's own can be made here (unshare)")
    return apart


def test_rows_and_network_travel_where_nodes_see_neither_folder(
    cli: CommandLine, nodes: Nodes, apart: Apart, tmp_path: Path
) -> None:
    out = apart.folder / "f.h5"
    extract: list[str | Path] = [
        "extract",
        "imgs",
        "--network",
        "tiny",
        "-b",
        "8",
        "-o",
        out,
        "--json",
        "--ray",
        nodes.address,
    ]
    ran = apart.run(
        cli,
        f"cp -r {shlex.quote(str(cli.store))} {apart.folder}/store && {{ {shlex.join(command(extract))}; "
        f"code=$?; cp {out} {tmp_path}/f.h5; }} && exit $code",
    )
    # Two images are broken.
    assert ran.code == 1, ran.text
    assert not list(apart.folder.iterdir())
    assert f"does not see {out}.work: its rows travel through Ray's object store" in ran.err
    assert "does not see the network's files and gets them through Ray's object store" in ran.err
    assert "write their rows there" not in ran.err
    assert read_json(ran.out)["extracted"] == N_IMAGES - len(BROKEN)
    assert_same(tmp_path / "f.h5", cli)


def test_images_that_nodes_do_not_see_are_said_to_be_the_reason(
    cli: CommandLine, nodes: Nodes, apart: Apart
) -> None:
    extract: list[str | Path] = [
        "extract",
        apart.folder / "imgs",
        "--network",
        "tiny",
        "-o",
        "no.h5",
        "--ray",
        nodes.address,
    ]
    ran = apart.run(
        cli,
        f"cp -r {shlex.quote(str(cli.store))} {apart.folder}/store && "
        f"mkdir {apart.folder}/imgs && cp imgs/red/*1.png {apart.folder}/imgs && "
        f"{shlex.join(command(extract))}",
    )
    assert ran.code == 2
    assert "does not see the images: " in ran.err
    assert "must lie where every node reads them" in ran.err
