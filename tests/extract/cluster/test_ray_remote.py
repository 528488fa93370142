"""Workers read images where they lie far away: in a bucket of S3, behind a web server, where fsspec reads.

The nodes have the store's keys in their environment, as the README asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("moto", reason="the extra test brings an S3 server (moto)")
pytest.importorskip("s3fs", reason="the extra cloud brings s3fs")
pytest.importorskip("ray", reason="Ray is not installed: pip install 'fc7[ray]'")

from tests.extract.cluster.nodes import Nodes, assert_same_content, content, needs_ray
from tests.support import CommandLine, lines_of, read_json, write_pictures
from tests.support.extract.s3_server import Bucket, s3_bucket
from tests.support.extract.web_folder import WebFolder, web_folder

pytestmark = needs_ray

PER_CLASS = 7
N_IMAGES = 3 * PER_CLASS
# In a web address both are needed to read.
SECRETS = ("topsecret", "hunter2", "signed-by-me")


class Far:
    """A command line, a cluster that was started with a store's keys, and where the pictures are."""

    def __init__(self, cli: CommandLine, bucket: Bucket, web: WebFolder, nodes: Nodes) -> None:
        self.cli, self.bucket, self.web, self.nodes = cli, bucket, web, nodes

    def to_extract(self, out: str, *inputs: str) -> list[str | Path]:
        return ["extract", *inputs, "--network", "tiny", "-b", "4", "--json", "-o", out]

    def logs(self) -> bytes:
        """All that Ray has written down."""
        session = Path(self.nodes.cluster.head_node.get_session_dir_path())
        return b"".join(path.read_bytes() for path in session.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    cli = CommandLine(tmp_path_factory.mktemp("far")).with_tiny_network()
    write_pictures(cli.folder / "imgs", per_class=PER_CLASS)
    cli.good("extract", "imgs", "--network", "tiny", "-o", "local.h5")
    cli.good("fit", "--force", "local.h5", "--svm", "-C", "1", "--quiet")
    # What other tests of this process have put into the bucket lies elsewhere in it.
    with s3_bucket() as bucket, web_folder(cli.folder) as web, pytest.MonkeyPatch.context() as here:
        bucket.upload(cli.folder / "imgs", "far")
        for name, value in bucket.environment.items():
            here.setenv(name, value)
        nodes = Nodes()
        try:
            yield Far(cli, bucket, web, nodes)
        finally:
            nodes.close()


def test_a_bucket_is_read_by_workers_and_not_twice(far: Far) -> None:
    # Not the first, which is read to see whether workers can.
    bad, busy = "/pictures/far/green/003.png", "/pictures/far/red/002.png"
    far.bucket.server.faults[bad] = ["403", "403"]
    alone = far.cli(*far.to_extract("alone.h5", "s3://pictures/far"))
    far.bucket.server.faults[busy] = ["500", "reset"]
    together = far.cli(*far.to_extract("ray.h5", "s3://pictures/far"), "--ray", far.nodes.address)
    assert (alone.code, together.code) == (1, 1), alone.text + together.text
    assert not far.bucket.server.faults[bad]
    assert not far.bucket.server.faults[busy]
    found = content(far.cli.folder / "ray.h5")
    assert_same_content(found, content(far.cli.folder / "alone.h5"))
    assert found["failures/path"].tolist() == [b"green/003.png"]
    assert found["failures/reason"].tolist() == [b"access refused (AccessDenied)"]
    assert sum(node["images"] for node in read_json(together.out)["nodes"]) == N_IMAGES
    assert f"workers see {far.cli.folder / 'ray.h5.work'} and write their rows there" in together.err

    far.bucket.server.gets.clear()
    again = far.cli(*far.to_extract("ray.h5", "s3://pictures/far"), "--ray", far.nodes.address)
    # An object that could not be had is tried again, and can be had now.
    assert far.bucket.server.gets.keys() == {bad}
    assert read_json(again.out)["extracted"] == 1
    far.bucket.server.gets.clear()
    again = far.cli(*far.to_extract("ray.h5", "s3://pictures/far"), "--ray", far.nodes.address)
    assert not far.bucket.server.gets
    assert (read_json(again.out)["reused"], read_json(again.out)["written"]) == (N_IMAGES, False)


def test_pages_and_lists_of_the_web_and_what_fsspec_reads(far: Far) -> None:
    host = far.web.url.removeprefix("http://")
    names = sorted(path.relative_to(far.cli.folder) for path in (far.cli.folder / "imgs").rglob("*.png"))
    (far.cli.folder / "list.txt").write_text(
        "".join(f"{name.as_posix()}?key=signed-by-me\n" for name in names if name.parts[1] == "red")
    )
    inputs = [
        f"http://user:hunter2@{host}/imgs/blue/",
        f"{far.web.url}/list.txt",
        f"file://{far.cli.folder}/imgs/green",
    ]
    alone = far.cli(*far.to_extract("alone.h5", *inputs))
    together = far.cli(*far.to_extract("ray.h5", *inputs), "--ray", far.nodes.address)
    assert (alone.code, together.code) == (0, 0), alone.text + together.text
    found = content(far.cli.folder / "ray.h5")
    assert len(found["path"]) == N_IMAGES
    assert_same_content(found, content(far.cli.folder / "alone.h5"))
    far.web.gets.clear()
    again = far.cli(*far.to_extract("ray.h5", *inputs), "--ray", far.nodes.address)
    assert read_json(again.out)["reused"] == N_IMAGES
    assert not [path for path in far.web.gets if path.endswith(".png")]
    seen = far.logs() + (far.cli.folder / "ray.h5").read_bytes() + together.text.encode()
    assert far.nodes.address.encode() in seen
    assert not [secret for secret in SECRETS if secret.encode() in seen]


def test_classify_reads_addresses_on_workers(far: Far) -> None:
    far.bucket.server.faults["/pictures/far/green/003.png"] = ["403", "403"]
    inputs = ("s3://pictures/far", f"{far.web.url}/imgs/red/", f"file://{far.cli.folder}/imgs/blue")
    alone = far.cli("classify", *inputs, "-o", "alone.csv")
    together = far.cli("classify", *inputs, "-o", "ray.csv", "--ray", far.nodes.address)
    assert (alone.code, together.code) == (1, 1), alone.text + together.text
    found, wanted = lines_of(far.cli.folder / "ray.csv"), lines_of(far.cli.folder / "alone.csv")
    assert len(found) == N_IMAGES + 2 * PER_CLASS
    for line, other in zip(found, wanted, strict=True):
        for column in ("path", "label", "error"):
            assert line[column] == other[column]
        assert float(line["score"] or 0) == pytest.approx(float(other["score"] or 0), abs=1e-5)
    assert [line["error"] for line in found if line["error"]] == ["access refused (AccessDenied)"]


def test_keys_that_are_refused_on_a_worker_end_the_run(far: Far) -> None:
    path = "/pictures/far/red/002.png"
    far.bucket.server.faults[path] = ["badkey"] * 3
    ran = far.cli(*far.to_extract("no.h5", "s3://pictures/far"), "--ray", far.nodes.address)
    far.bucket.server.faults[path].clear()
    assert ran.code == 1
    assert "credentials are missing or refused (InvalidAccessKeyId)" in ran.err
    kept = (far.cli.folder / "no.h5").exists()
    assert ("what was done is kept in no.h5" if kept else "no image was done yet") in ran.err


def test_nodes_without_keys_are_said_to_have_none(far: Far, tmp_path: Path) -> None:
    """They are not sent, so a node that was started without them reads nothing."""
    with pytest.MonkeyPatch.context() as here:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            here.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            here.setenv(name, str(tmp_path / "none"))
        here.setenv("AWS_EC2_METADATA_DISABLED", "true")
        keyless = Nodes(others=0)
    try:
        ran = far.cli(*far.to_extract("no.h5", "s3://pictures/far"), "--ray", keyless.address)
    finally:
        keyless.close()
    assert ran.code == 1
    assert "s3://pictures: the credentials are missing or refused" in ran.err.splitlines()[-1]
