"""Images in a bucket of a real S3 server: the rows of the same folder, nothing read twice, no secret kept."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

pytest.importorskip("moto", reason="the extra test brings an S3 server (moto)")
pytest.importorskip("s3fs", reason="the extra cloud brings s3fs")

from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.remote import store as remote_store
from fc7.extract.records import ImageRef
from fc7.models.common.errors import CredentialsError, ImageError, SourceError, UsageError
from tests.support import CommandLine, coloured_picture, command, lines_of, read_json, write_pictures
from tests.support.extract.s3_server import Bucket, Fault, s3_bucket

IMGS = "s3://pictures/imgs"


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with s3_bucket() as found:
        yield found


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory, bucket: Bucket) -> CommandLine:
    """A store with a tiny network, pictures in a folder and in the bucket, and the folder's features."""
    here = CommandLine(tmp_path_factory.mktemp("s3")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=4)
    (here.folder / "imgs/notes.md").write_text("no image")
    (here.folder / "imgs/red/odd name+%20ä.png").write_bytes((here.folder / "imgs/red/000.png").read_bytes())
    bucket.upload(here.folder / "imgs", "imgs")
    bucket.put("imgs/empty/", b"")
    here.good("extract", "imgs", "--network", "tiny", "-o", "local.h5")
    here.good("fit", "--force", "local.h5", "--svm", "-C", "1", "--quiet")
    return here


@pytest.fixture
def inside(cli: CommandLine, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The bucket with the pictures as this process sees it, without waits."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote_store, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(remote_store, "_stores", {})
    bucket.server.gets.clear()
    return bucket


def columns(path: Path) -> dict[str, list[object]]:
    with h5py.File(path) as file:
        names = ("path", "label", "sha256", "size", "features/embedding")
        return {name: file[name][()].tolist() for name in names}


def one(listing_of: str) -> ImageRef:
    (ref,) = list_inputs([listing_of]).images
    return ref


def test_a_bucket_gives_the_rows_of_the_same_folder_and_is_read_once(
    cli: CommandLine, bucket: Bucket
) -> None:
    extract = ("extract", IMGS, "--network", "tiny", "-o", "s3.h5", "--json")
    bucket.server.gets.clear()
    first = cli(*extract, env=bucket.environment)
    assert first.code == 0, first.text
    assert columns(cli.folder / "s3.h5") == columns(cli.folder / "local.h5")
    assert read_json(first.out)["ignored"] == {".md": 1}
    assert set(bucket.server.gets.values()) == {1}
    assert len(bucket.server.gets) == 13

    bucket.server.gets.clear()
    again = read_json(cli(*extract, env=bucket.environment).out)
    assert (again["reused"], again["extracted"], again["written"]) == (13, 0, False)
    assert not bucket.server.gets

    # Of one size and within one second: only the ETag tells.
    blue = (cli.folder / "imgs/blue/003.png").read_bytes()
    bucket.put("imgs/blue/000.png", blue)
    bucket.put("imgs/new/9.png", blue)
    bucket.delete("imgs/green/000.png")
    changed = read_json(cli(*extract, env=bucket.environment).out)
    assert (changed["reused"], changed["extracted"], changed["removed"]) == (11, 2, 1)
    assert sorted(bucket.server.gets) == ["/pictures/imgs/blue/000.png", "/pictures/imgs/new/9.png"]
    with h5py.File(cli.folder / "s3.h5") as file:
        rows = dict(zip(file["path"].asstr()[()], file["features/embedding"][()], strict=True))
    np.testing.assert_array_equal(rows["blue/000.png"], rows["blue/003.png"])
    bucket.upload(cli.folder / "imgs", "imgs")
    bucket.delete("imgs/new/9.png")
    data = b"".join(path.read_bytes() for path in cli.folder.rglob("*.h5"))
    assert b"topsecret" not in data


def test_classify_and_evaluate_take_addresses(cli: CommandLine, bucket: Bucket) -> None:
    ran = cli("classify", f"{IMGS}/red", f"{IMGS}/blue/001.png", "-o", "p.csv", env=bucket.environment)
    assert ran.code == 0, ran.text
    found = {line["path"]: line["label"] for line in lines_of(cli.folder / "p.csv")}
    assert found[f"{IMGS}/blue/001.png"] == "blue"
    assert found[f"{IMGS}/red/odd name+%20ä.png"] == "red"
    assert len(found) == 6
    evaluated = cli("evaluate", IMGS, "--json", env=bucket.environment)
    assert evaluated.code == 0, evaluated.text


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_killed_run_goes_on(cli: CommandLine, bucket: Bucket) -> None:
    from io import BytesIO

    from PIL import Image

    for i in range(60):
        stream = BytesIO()
        Image.fromarray(coloured_picture("red", i)).save(stream, "png")
        bucket.put(f"many/red/{i:03}.png", stream.getvalue())
    arguments = ["extract", "s3://pictures/many", "--network", "tiny", "-b", "4", "--json", "-o"]
    whole = cli(*arguments, "whole.h5", env=bucket.environment)
    assert whole.code == 0, whole.text
    process = subprocess.Popen(
        command([*arguments, "killed.h5"]),
        cwd=cli.folder,
        env=cli.environment(bucket.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    start = bucket.server.gets.total()
    # The server kills its client, half-way.
    bucket.server.at_get = lambda count: process.send_signal(signal.SIGKILL) if count - start == 30 else None
    assert process.wait(60) == -signal.SIGKILL
    bucket.server.at_get = lambda count: None
    assert not (cli.folder / "killed.h5").exists()
    rest = cli(*arguments, "killed.h5", env=bucket.environment)
    assert (rest.code, read_json(rest.out)["rows"]) == (0, 60)
    assert columns(cli.folder / "killed.h5") == columns(cli.folder / "whole.h5")


def test_paths_labels_and_sizes_are_those_of_the_folder(cli: CommandLine, inside: Bucket) -> None:
    local, remote = list_inputs([cli.folder / "imgs"]), list_inputs([IMGS])
    assert [(r.path, r.label, r.size) for r in remote.images] == [
        (r.path, r.label, r.size) for r in local.images
    ]
    assert (remote.roots, remote.ignored, remote.failures) == ((IMGS,), {".md": 1}, [])
    assert remote.images[0].shown == f"{IMGS}/blue/000.png"
    assert one(f"{IMGS}/red/001.png").label == "red"
    assert [r.path for r in list_inputs([IMGS + "/", f"{IMGS}/red"]).images] == [r.path for r in local.images]
    both = list_inputs([f"{IMGS}/red", f"{IMGS}/blue/001.png", cli.folder / "imgs/green"])
    assert {r.path.split("/")[0] for r in both.images} == {"imgs", "green"}
    assert not inside.server.gets


def test_a_reference_travels_to_another_process(cli: CommandLine, inside: Bucket) -> None:
    ref = list_inputs([IMGS]).images[0]
    copy = pickle.loads(pickle.dumps(ref))
    assert copy.origin.read(copy) == (cli.folder / "imgs/blue/000.png").read_bytes()


def test_what_passes_is_tried_again(cli: CommandLine, inside: Bucket) -> None:
    cases: list[list[Fault]] = [["500", "500"], ["reset"], ["cut", "500", "reset"]]
    for faults in cases:
        ref = one(f"{IMGS}/red/001.png")
        inside.server.faults["/pictures/imgs/red/001.png"] = list(faults)
        inside.server.gets.clear()
        assert ref.origin.read(ref) == (cli.folder / "imgs/red/001.png").read_bytes()
        assert inside.server.gets.total() == len(faults) + 1


@pytest.mark.parametrize(
    ("faults", "asked", "reason"),
    [
        (
            ["500"] * 9,
            remote_store.TRIES,
            "the store is busy or failing (InternalError) (5 tries)",
        ),
        (["403"], 1, "access refused (AccessDenied)"),
    ],
)
def test_what_stays_is_a_failure_with_its_reason(
    inside: Bucket, faults: list[Fault], asked: int, reason: str
) -> None:
    ref = one(f"{IMGS}/red/001.png")
    inside.server.faults["/pictures/imgs/red/001.png"] = list(faults)
    inside.server.gets.clear()
    with pytest.raises(ImageError) as caught:
        ref.origin.read(ref)
    inside.server.faults.clear()
    assert str(caught.value) == reason
    assert inside.server.gets.total() == asked


def test_an_object_that_went_away_or_grew(inside: Bucket) -> None:
    inside.put("odd/a.png", b"1234")
    ref = one("s3://pictures/odd/a.png")
    inside.put("odd/a.png", b"123456")
    with pytest.raises(ImageError, match="listed with 4 bytes, read 6"):
        ref.origin.read(ref)
    inside.delete("odd/a.png")
    with pytest.raises(ImageError, match="not found"):
        ref.origin.read(ref)


def test_refused_credentials_end_the_run_at_once(cli: CommandLine, bucket: Bucket) -> None:
    path = "/pictures/imgs/red/001.png"
    bucket.server.faults[path] = ["badkey"] * 5
    ran = cli("extract", IMGS, "--network", "tiny", "-o", "refused.h5", env=bucket.environment)
    assert ran.code == 1
    assert "credentials are missing or refused (InvalidAccessKeyId)" in ran.err
    kept = (cli.folder / "refused.h5").exists()
    assert ("what was done is kept in refused.h5" if kept else "no image was done yet") in ran.err
    assert len(bucket.server.faults.pop(path)) == 4


def test_an_expired_token_is_no_failure_of_an_image(inside: Bucket) -> None:
    ref = one(f"{IMGS}/red/001.png")
    inside.server.faults["/pictures/imgs/red/001.png"] = ["expired"]
    with pytest.raises(CredentialsError, match="ExpiredToken"):
        ref.origin.read(ref)


def test_no_credentials_at_all(inside: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(CredentialsError, match="FSSPEC_S3_ANON"):
        list_inputs([IMGS])
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    ("address", "error", "text"),
    [
        ("s3://nobody/imgs", UsageError, "s3://nobody/imgs: not found"),
        ("s3://pictures/none", UsageError, "not found"),
        ("s3://pictures/imgs/none.png", UsageError, "not found"),
        ("s3://pictures/set.zip", UsageError, "copy it here first"),
        ("xyz://pictures/imgs", UsageError, "nothing reads xyz://"),
        ("s3://pictures/text", UsageError, "found 1 .doc"),
    ],
)
def test_an_address_that_cannot_be_listed(inside: Bucket, address: str, error: type, text: str) -> None:
    inside.put("text/a.doc", b"x")
    with pytest.raises(error, match=text):
        list_inputs([address])


def test_a_store_that_does_not_answer(inside: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(SourceError, match=r"the connection failed .* \(5 tries\)"):
        list_inputs([IMGS])
    s3fs.S3FileSystem.clear_instance_cache()


def test_lists_and_manifests_name_objects(cli: CommandLine, inside: Bucket, tmp_path: Path) -> None:
    text = tmp_path / "set.txt"
    text.write_text(f"{IMGS}/red/001.png\n{IMGS}/blue/001.png\n{IMGS}/blue/gone.png\n{IMGS}/blue/001.png\n")
    listing = list_inputs([text])
    assert [(r.path, r.label) for r in listing.images] == [("blue/001.png", "blue"), ("red/001.png", "red")]
    assert [(f.path, f.reason) for f in listing.failures] == [
        ("blue/gone.png", f"named in {text} line 3, not found")
    ]
    inside.put("imgs/set.lst", b"red/001.png\ngreen/002.png\n")
    assert [r.path for r in list_inputs([f"{IMGS}/set.lst"]).images] == ["green/002.png", "red/001.png"]
    inside.delete("imgs/set.lst")
    table = tmp_path / "set.csv"
    table.write_text(f"path,label,group,split\n{IMGS}/red/001.png,rot,g,train\n{IMGS}/blue/001.png,blau,,\n")
    named = list_inputs([], labels=table).images
    assert [(r.path, r.label, r.group, r.split) for r in named] == [
        ("blue/001.png", "blau", None, None),
        ("red/001.png", "rot", "g", "train"),
    ]
    labelled = {r.path: r.label for r in list_inputs([IMGS], labels=table).images}
    assert (labelled["red/001.png"], labelled["red/002.png"]) == ("rot", None)
    mixed = tmp_path / "mixed.txt"
    mixed.write_text(f"{IMGS}/red/001.png\n{cli.folder}/imgs/red/002.png\n")
    refs = list_inputs([mixed]).images
    assert {ref.shown for ref in refs} == {f"{IMGS}/red/001.png", f"{cli.folder}/imgs/red/002.png"}
    many = tmp_path / "many.txt"
    many.write_text("".join(f"s3://pictures/crowd/x/{i}.png\n" for i in range(40)))
    for i in range(39):
        inside.put(f"crowd/x/{i}.png", b"x")
    found = list_inputs([many])
    assert (len(found.images), len(found.failures)) == (39, 1)


def test_odd_keys_are_read_or_named(inside: Bucket) -> None:
    for key in ("a?x=1.png", "b#1.png", "c+ %20.png", "d.png/e.png", ".hidden/f.png", "empty/"):
        inside.put(f"keys/{key}", key.encode())
    inside.put("keys//g.png", b"x")
    listing = list_inputs(["s3://pictures/keys"])
    found = {ref.path: ref.origin.read(ref) for ref in listing.images}
    assert found == {key: key.encode() for key in ("a?x=1.png", "b#1.png", "c+ %20.png", "d.png/e.png")}
    assert listing.ignored == {"hidden": 1}
    assert [(f.path, f.reason) for f in listing.failures] == [
        ("/", "names with two slashes in a row are not read")
    ]
