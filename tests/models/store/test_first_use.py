"""Trust on first use: a file that nobody published a hash of is pinned, and must come again as it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import WeightSource
from fc7.models.common.errors import DownloadError, Fc7Error, UsageError, WeightsError
from fc7.models.common.progress import Silent
from fc7.models.store import pins, store
from fc7.models.store.download import alone_with
from fc7.models.store.ensure import ensure_network
from fc7.models.store.importing import ImportOptions
from fc7.models.store.pins import Pin
from fc7.models.store.pulling import PullOptions, downloads, pull
from fc7.models.store.store import StoredNetwork
from tests.support import ROOT
from tests.support.models.fake_networks import fake_files, fake_spec
from tests.support.models.models_command import models_command
from tests.support.models.small_graphs import model, write
from tests.support.models.web_server import Server, certificate, serving

DATA, OTHER = b"weights" * 1000, b"other weights" * 1000
SHA256, OTHER_SHA256 = (hashlib.sha256(data).hexdigest() for data in (DATA, OTHER))


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(pem: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with serving(pem) as running:
        yield running


@pytest.fixture
def plain() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def imported(monkeypatch: pytest.MonkeyPatch) -> list[ImportOptions]:
    """In the place of `import_network`: keeps its calls, refuses files that hold ``bad``."""
    calls: list[ImportOptions] = []

    def fake(path: Path, name: str, options: ImportOptions, **_: object) -> StoredNetwork:
        calls.append(options)
        if b"bad" in path.read_bytes():
            raise WeightsError("not a format we read")
        spec = dataclasses.replace(fake_spec(name), source=hashlib.sha256(path.read_bytes()).hexdigest())
        return store.save(spec, fake_files(), replace=options.replace)

    monkeypatch.setattr("fc7.models.store.importing.import_network", fake)
    return calls


def published(monkeypatch: pytest.MonkeyPatch, url: str, **known: Any) -> None:
    """Let the catalogue have the file at `url` as `alexnet`, and no hash of it."""
    entry = dataclasses.replace(
        catalog.entry("alexnet"), sources=(WeightSource((url,), "net.onnx", **known),)
    )
    monkeypatch.setattr("fc7.models.catalog.catalog.NETWORKS", (entry, *catalog.NETWORKS[1:]))


def pulled(**options: Any) -> list[str]:
    """What a pull into a store that has no such network notes, beside that it is fetching."""
    if "alexnet" in store.names():
        store.remove("alexnet")
    notes: list[str] = []
    pull("alexnet", Silent(), PullOptions(**options), notes.append)
    return [note for note in notes if ": fetching " not in note]


def kept() -> str | None:
    pin = pins.pinned("alexnet", "net.onnx")
    return None if pin is None else pin.sha256


def test_the_first_file_is_pinned_and_said_and_the_same_one_is_taken_again(
    secure: Server, monkeypatch: pytest.MonkeyPatch, root: Path, imported: list[ImportOptions]
) -> None:
    url = secure.add("/net.onnx", DATA)
    published(monkeypatch, url)
    (note,) = pulled()
    assert note == (
        "net.onnx: nobody here could check its hash; pinned now, the next pull must bring the same: "
        f"sha256 {SHA256}"
    )
    assert imported[0].licence == "unrestricted (BVLC)"
    (kept_pin,) = json.loads((root / "pins.json").read_text())["pins"].items()
    assert kept_pin[0] == "alexnet/net.onnx"
    assert {**kept_pin[1], "date": ""} == {
        "sha256": SHA256,
        "size": len(DATA),
        "date": "",
        "urls": [url],
    }
    assert pulled() == []
    assert len(secure.asked) == 2
    assert list(downloads().iterdir()) == []


def test_another_file_is_refused_with_both_hashes_and_what_to_do(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, secure.add("/net.onnx", DATA))
    pulled()
    day = pins.pinned("alexnet", "net.onnx")
    secure.add("/net.onnx", OTHER)
    with pytest.raises(DownloadError) as caught:
        pulled()
    said = str(caught.value)
    assert day is not None
    assert f"sha256 is {OTHER_SHA256}, {SHA256} was pinned here on {day.date}" in said
    assert "models pull alexnet --sha256 HEX" in said
    assert "or --repin to trust" in said
    assert len(said.splitlines()) <= 20
    assert store.names() == []
    assert kept() == SHA256
    assert list(downloads().iterdir()) == []


def test_a_network_that_is_fetched_because_it_is_needed_is_said_to_be_trusted_too(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, secure.add("/net.onnx", DATA))
    notes: list[str] = []
    ensure_network("alexnet", Silent(), notify=notes.append)
    assert "nobody here could check its hash" in notes[-1]


def test_a_failed_pull_speaks_of_pins_only_where_one_is_in_the_way(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, secure.url + "/gone")
    with pytest.raises(DownloadError) as caught:
        pulled()
    assert "pin" not in str(caught.value)


def test_a_replaced_file_can_be_trusted_anew_with_the_users_word(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, secure.add("/net.onnx", DATA))
    pulled()
    secure.add("/net.onnx", OTHER)
    assert OTHER_SHA256 in pulled(repin=True)[0]
    assert kept() == OTHER_SHA256
    assert pulled() == []
    # With the network in the store too: --repin is a wish to fetch.
    secure.add("/net.onnx", DATA)
    pull("alexnet", Silent(), PullOptions(repin=True))
    assert (kept(), store.load("alexnet").spec.source) == (SHA256, SHA256)


def test_a_hash_that_the_user_gives_comes_before_the_pin_and_is_pinned(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, secure.add("/net.onnx", DATA))
    with pytest.raises(DownloadError, match=f"{OTHER_SHA256} was given with --sha256"):
        pulled(sha256=OTHER_SHA256)
    assert kept() is None
    pulled()
    secure.add("/net.onnx", OTHER)
    assert pulled(sha256=OTHER_SHA256.upper()) == [
        "net.onnx: has the sha256 that you gave; pinned now, the next pull must bring the same: "
        f"sha256 {OTHER_SHA256}"
    ]
    assert pulled() == []


def test_a_mirror_of_a_file_of_which_the_first_digits_are_known_is_fetched(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, "https://127.0.0.1:9/net.onnx", sha256_prefix=SHA256[:8])
    mirror = secure.add("/mirror/net.onnx", DATA)
    pulled(from_url=mirror, unverified=True)
    assert store.names() == ["alexnet"]


def test_unverified_passes_over_no_pin_of_the_catalogues_own_file(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, secure.add("/net.onnx", DATA))
    pulled(unverified=True)
    assert kept() == SHA256
    secure.add("/net.onnx", OTHER)
    with pytest.raises(DownloadError, match=OTHER_SHA256):
        pulled(unverified=True)


def test_the_first_digits_must_fit_and_the_whole_is_pinned(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = secure.add("/net.onnx", OTHER)
    published(monkeypatch, url, sha256_prefix=SHA256[:8])
    with pytest.raises(DownloadError, match=f"one that begins with {SHA256[:8]} was published"):
        pulled()
    assert (kept(), store.names()) == (None, [])
    secure.add("/net.onnx", DATA)
    (note,) = pulled()
    assert "only the first 8 digits of its sha256 are known, and it has them" in note
    assert kept() == SHA256


def test_a_file_that_cannot_be_imported_is_not_pinned(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a hotel's login page sends, say; tomorrow the right one may come."""
    published(monkeypatch, secure.add("/net.onnx", b"bad page"))
    with pytest.raises(DownloadError, match="fetched, but: not a format we read"):
        pulled()
    assert kept() is None
    secure.add("/net.onnx", DATA)
    pulled()
    assert kept() == SHA256


def test_a_file_that_lies_about_is_not_the_first_that_came(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, secure.add("/net.onnx", DATA))
    downloads().mkdir(parents=True)
    (downloads() / "alexnet-net.onnx").write_bytes(OTHER)
    pulled()
    assert kept() == SHA256


def test_nothing_is_trusted_over_plain_http(
    plain: Server, secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, plain.add("/net.onnx", DATA), sha256_prefix=SHA256[:8])
    with pytest.raises(UsageError, match=r"--sha256 HEX, or --unverified"):
        pulled()
    assert plain.asked == []
    pulled(sha256=SHA256)
    pulled(unverified=True)
    assert kept() is None
    published(monkeypatch, secure.add("/net.onnx", location=plain.url + "/net.onnx"))
    with pytest.raises(DownloadError, match="redirected from https to http"):
        pulled()
    assert len(plain.asked) == 2


def test_an_address_of_the_users_is_never_trusted_on_first_use(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = secure.add("/mirror/net.onnx", DATA)
    published(monkeypatch, secure.add("/net.onnx", DATA))
    with pytest.raises(UsageError, match=r"--sha256 HEX, or --unverified"):
        pulled(from_url=mirror)
    pulled(from_url=mirror, unverified=True)
    assert kept() is None


def test_half_a_hash_is_no_hash(secure: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    published(monkeypatch, secure.add("/net.onnx", DATA))
    with pytest.raises(UsageError, match="64 hex digits are needed"):
        pulled(sha256=SHA256[:8])
    assert secure.asked == []


def test_repin_is_refused_where_a_hash_was_published(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no file of 'caffenet' is trusted on first use"):
        pull("caffenet", Silent(), PullOptions(repin=True))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"pins": {"alexnet/net.onnx": {}}}',
        '{"pins": {"alexnet/net.onnx": {"sha256": "1294", "size": 1, "date": "2026-01-01", "urls": []}}}',
    ],
)
def test_damaged_pins_are_an_error_that_names_the_file_and_what_to_do(
    text: str, secure: Server, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    published(monkeypatch, secure.add("/net.onnx", DATA))
    root.mkdir()
    (root / "pins.json").write_text(text)
    with pytest.raises(Fc7Error, match=r"pins\.json: damaged .*Put a copy back, or delete it"):
        pulled()
    assert secure.asked == []
    shown = models_command("show", "alexnet")
    assert (shown.exit_code, "pins.json: damaged" in shown.stderr) == (0, True)
    assert "trusted on first use" in shown.stdout
    (root / "pins.json").unlink()
    pulled()
    assert kept() == SHA256


def test_pins_of_many_writers_are_all_there(root: Path) -> None:
    pin = Pin(SHA256, 1, "2026-01-01", ("https://example.org/net.onnx",))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: pins.keep(f"net{n}", "net.onnx", pin), range(24)))
    assert all(pins.pinned(f"net{n}", "net.onnx") == pin for n in range(24))
    assert sorted(path.name for path in root.iterdir()) == ["pins.json"]


def test_show_says_what_is_known_of_a_hash_before_and_after_the_first_pull(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str:
        return models_command("show", "alexnet").stdout

    published(monkeypatch, secure.add("/net.onnx", DATA))
    assert "net.onnx, sha256 not published: trusted on first use" in shown()
    published(monkeypatch, secure.add("/net.onnx", DATA), sha256_prefix=SHA256[:8])
    assert f"sha256 begins with {SHA256[:8]}, no more is published: trusted on first use" in shown()
    pulled()
    pin = pins.pinned("alexnet", "net.onnx")
    assert pin is not None
    wanted = f"pinned here:    net.onnx on {pin.date}, sha256 {SHA256}"
    assert wanted in shown()
    store.remove("alexnet")
    assert wanted in shown()


def test_the_command_says_on_stderr_what_it_trusted(secure: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    published(monkeypatch, secure.add("/net.onnx", DATA))
    done = models_command("pull", "alexnet")
    assert f"pinned now, the next pull must bring the same: sha256 {SHA256}\n" in done.stderr
    secure.add("/net.onnx", OTHER)
    done = models_command("pull", "alexnet", "--repin", "--quiet")
    assert (done.exit_code, kept()) == (0, OTHER_SHA256)


def test_a_second_process_waits_outside_until_the_first_has_imported_its_file(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fcntl")
    published(monkeypatch, secure.add("/net.onnx", DATA))
    with (
        alone_with(downloads() / "alexnet-net.onnx"),
        pytest.raises(DownloadError, match="another process is fetching"),
    ):
        pulled()
    assert secure.asked == []
    pulled()


PULL = """
import dataclasses, sys
from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import WeightSource
from fc7.models.common.progress import Silent
from fc7.models.store.pulling import pull
from fc7.models.network.spec import PreprocessSpec
catalog.NETWORKS = (dataclasses.replace(
    catalog.NETWORKS[0], arch="onnx", preprocess=PreprocessSpec("warp", 8, 8, 8, 8, "RGB"),
    default_layer="scores", sources=(WeightSource((sys.argv[1],), "net.onnx"),),
), *catalog.NETWORKS[1:])
pull("alexnet", Silent())
"""


def test_of_two_processes_with_two_files_the_store_has_the_one_that_is_pinned(
    secure: Server, tmp_path: Path
) -> None:
    pytest.importorskip("fcntl")
    graphs = [model(producer=f"the {n}") for n in ("first", "second")]
    urls = [
        secure.add(f"/{n}/net.onnx", write(made, tmp_path).read_bytes(), slow=0.05)
        for n, made in enumerate(graphs)
    ]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PULL, url],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": "."},
            stderr=subprocess.PIPE,
            text=True,
        )
        for url in urls
    ]
    said = [process.communicate(timeout=60)[1] for process in running]
    assert 0 in [process.returncode for process in running], said
    assert kept() is not None
    assert store.load("alexnet").spec.source.endswith(f"sha256 {kept()}")
