"""Pull: sources in order, each checked, imported and tidied away; and what is said when none works."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import CatalogEntry, WeightSource
from fc7.models.common.errors import (
    DownloadError,
    StoppedError,
    UnknownNetworkError,
    UsageError,
    WeightsError,
)
from fc7.models.common.progress import Silent
from fc7.models.network.spec import torch_preprocess
from fc7.models.store import store
from fc7.models.store.importing import ImportOptions
from fc7.models.store.preprocess_options import PreprocessOptions
from fc7.models.store.pulling import PullOptions, downloads, pull, safe_name
from fc7.models.store.store import StoredNetwork
from tests.support.models.fake_networks import fake_files, fake_spec
from tests.support.models.web_server import Server, serving

DATA = b"weights" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as running:
        yield running


class FakeImport:
    """In the place of `import_network`: remembers its calls, refuses files that hold ``bad``."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.calls: list[ImportOptions] = []

    def __call__(self, path: Path, name: str, options: ImportOptions, **_: object) -> StoredNetwork:
        self.files.append(path.name)
        self.calls.append(options)
        if b"bad" in path.read_bytes():
            raise WeightsError("not a format we read")
        if options.layer == "nowhere":
            raise UsageError("no such layer")
        return store.save(fake_spec(name), fake_files(), replace=options.replace)


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> FakeImport:
    fake = FakeImport()
    monkeypatch.setattr("fc7.models.store.importing.import_network", fake)
    return fake


def source(url: str, data: bytes = DATA, name: str = "net.onnx") -> WeightSource:
    return WeightSource((url,), name, len(data), hashlib.sha256(data).hexdigest())


def known(monkeypatch: pytest.MonkeyPatch, *sources: WeightSource, **changes: Any) -> CatalogEntry:
    """Make `alexnet` of these sources, as if it were published there."""
    entry = dataclasses.replace(catalog.entry("alexnet"), sources=sources, **changes)
    monkeypatch.setattr("fc7.models.catalog.catalog.NETWORKS", (entry, *catalog.NETWORKS[1:]))
    return entry


def test_a_pull_fetches_imports_with_the_catalogues_facts_and_tidies_up(
    server: Server, imported: FakeImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.add("/net.onnx", DATA)
    entry = known(monkeypatch, source(url))
    network = pull("alexnet", Silent())
    assert network.spec.name == "alexnet"
    assert imported.files == ["alexnet-net.onnx"]
    assert imported.calls == [
        ImportOptions(
            arch="alexnet",
            preprocess=PreprocessOptions(entry.preprocess),
            layer="fc7",
            pool="flatten",
            source=url,
            licence="unrestricted (BVLC)",
        )
    ]
    assert list(downloads().iterdir()) == []


def test_a_network_that_is_here_is_not_fetched_again_unless_it_shall_be(
    server: Server, imported: FakeImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, source(server.add("/net.onnx", DATA)))
    store.save(fake_spec("alexnet", "old"), fake_files(), replace=False)
    assert pull("alexnet", Silent()).spec.source == "old"
    assert server.asked == []
    assert pull("alexnet", Silent(), PullOptions(replace=True)).spec.source == "a"
    assert imported.calls[0].replace is True


def test_a_graph_kept_as_it_is_has_no_architecture(
    server: Server, imported: FakeImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, source(server.add("/net.onnx", DATA)), arch="onnx")
    pull("alexnet", Silent(), PullOptions(layer="pool5", pool="avg", preprocess=torch_preprocess()))
    assert imported.calls[0].pool == "avg"
    assert imported.calls[0].arch is None
    assert imported.calls[0].layer == "pool5"
    assert imported.calls[0].preprocess == PreprocessOptions(torch_preprocess())


def test_the_next_source_is_used_when_one_is_gone_altered_or_cannot_be_read(
    server: Server, imported: FakeImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(
        monkeypatch,
        source(server.url + "/gone", name="gone.onnx"),
        source(server.add("/altered", DATA + b"!"), name="altered.onnx"),
        source(server.add("/bad", b"bad" * 10), b"bad" * 10, name="bad.caffemodel"),
        source(server.add("/good", DATA), name="good.onnx"),
    )
    pull("alexnet", Silent())
    assert imported.files == ["alexnet-bad.caffemodel", "alexnet-good.onnx"]
    assert list(downloads().iterdir()) == []


def test_when_nothing_works_one_screen_says_what_was_needed_tried_and_can_be_done(
    server: Server, imported: FakeImport, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    gone, bad = server.url + "/gone", server.add("/bad", b"bad" * 10)
    known(monkeypatch, source(gone), source(bad, b"bad" * 10, name="bad.caffemodel"))
    with pytest.raises(DownloadError) as caught:
        pull("alexnet", Silent())
    text = str(caught.value)
    assert f"  {gone}\n    HTTP 404 Not Found" in text
    assert f"  {bad}\n    fetched, but: not a format we read" in text
    assert "  fc7 models import FILE --as alexnet\n    from a file of its weights: net.onnx" in text
    assert "bad.caffemodel (0.0 MB)" in text
    assert "  fc7 models pull alexnet\n" in text
    assert str(root / "networks" / "alexnet") in text
    assert len(text.splitlines()) <= 20
    assert caught.value.attempts == (
        (gone, "HTTP 404 Not Found"),
        (bad, "fetched, but: not a format we read"),
    )


def test_even_the_longest_message_of_the_real_catalogue_fits_a_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fc7.models.store.unavailable import how_to_bring

    for entry in catalog.NETWORKS:
        attempts = [(url, "no connection (refused)") for s in entry.sources for url in s.urls]
        assert len(how_to_bring(entry.name, entry.sources, attempts).splitlines()) <= 22


def test_a_file_that_was_fetched_is_kept_for_the_next_try_when_the_call_was_wrong(
    server: Server, imported: FakeImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, source(server.add("/net.onnx", DATA)))
    with pytest.raises(UsageError, match="no such layer"):
        pull("alexnet", Silent(), PullOptions(layer="nowhere"))
    pull("alexnet", Silent())
    assert len(server.asked) == 1


def test_ctrl_c_says_that_what_was_fetched_is_kept(
    imported: FakeImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: object, **how: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr("fc7.models.store.pulling.fetch", stopped)
    with pytest.raises(StoppedError, match=r"bvlcalexnet-12\.onnx is kept, and the same call goes on"):
        pull("alexnet", Silent())


def test_a_full_disk_is_not_blamed_on_the_sources(
    server: Server, imported: FakeImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.add("/net.onnx", DATA)
    known(monkeypatch, dataclasses.replace(source(url), size=1 << 60), source(url, name="other"))
    with pytest.raises(DownloadError, match="make room"):
        pull("alexnet", Silent())
    assert server.asked == []


def test_a_mirror_of_a_catalogue_file_is_checked_by_the_published_hash(
    server: Server, imported: FakeImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, source("http://nowhere.invalid/net.onnx"))
    altered = server.add("/altered/net.onnx", DATA[::-1])
    with pytest.raises(DownloadError, match=f"{SHA256} was published"):
        pull("alexnet", Silent(), PullOptions(from_url=altered))
    pull("alexnet", Silent(), PullOptions(from_url=server.add("/mirror/net.onnx", DATA)))
    assert imported.calls[0].source == server.url + "/mirror/net.onnx"


def test_a_file_without_a_published_hash_is_refused_unless_the_user_answers_for_it(
    server: Server, imported: FakeImport
) -> None:
    url = server.add("/mine.onnx", DATA)
    with pytest.raises(UsageError, match=r"--sha256 HEX, or --unverified"):
        pull("mine", Silent(), PullOptions(from_url=url))
    assert server.asked == []
    with pytest.raises(DownloadError):
        pull("mine", Silent(), PullOptions(from_url=url, sha256="0" * 64))
    pull("mine", Silent(), PullOptions(from_url=url, sha256=SHA256))
    pull("yours", Silent(), PullOptions(from_url=url, unverified=True))
    assert store.names() == ["mine", "yours"]
    assert imported.calls[0].arch is None
    with pytest.raises(UsageError, match="without --from"):
        pull("alexnet", Silent(), PullOptions(sha256=SHA256))


def test_a_network_whose_preparation_nobody_published_needs_the_users_word_first(
    server: Server, imported: FakeImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, source(server.add("/net.onnx", DATA)), preprocess=None, arch="onnx")
    with pytest.raises(UsageError, match="--preprocess caffe"):
        pull("alexnet", Silent())
    with pytest.raises(UsageError, match="--preprocess caffe"):
        pull("alexnet", Silent(), PullOptions(preprocess=PreprocessOptions(order="BGR", resize="warp")))
    assert server.asked == []
    numbers = PreprocessOptions(mean=(0.5, 0.5, 0.5))
    pull("alexnet", Silent(), PullOptions(preprocess=numbers))
    assert imported.calls[0].preprocess == numbers


def test_options_change_parts_of_the_catalogues_preprocessing(
    server: Server, imported: FakeImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = known(monkeypatch, source(server.add("/net.onnx", DATA)))
    pull("alexnet", Silent(), PullOptions(preprocess=PreprocessOptions(interpolation="bicubic")))
    wanted = PreprocessOptions(entry.preprocess, interpolation="bicubic")
    assert imported.calls[0].preprocess == wanted


def test_the_untrained_network_is_built_and_not_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(name: str) -> StoredNetwork:
        return store.save(fake_spec(name, trained=False), fake_files(), replace=True)

    monkeypatch.setattr("fc7.models.store.importing.build_untrained", build)
    assert not pull("alexnet-untrained", Silent()).spec.trained
    assert not downloads().exists()


def test_an_unknown_name_is_told_what_the_catalogue_has() -> None:
    with pytest.raises(UnknownNetworkError, match=r"Did you mean 'vgg16'\?"):
        pull("vgg-16", Silent())
    with pytest.raises(UsageError, match="cannot be a network's name"):
        pull("../vgg16", Silent())


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a b?.onnx", "a_b_.onnx"),
        ("..", "download"),
        ("", "download"),
        ("ü.pth", "ü.pth"),
        ("x" * 200, "x" * 100),
    ],
)
def test_a_name_from_an_address_becomes_a_file_name_anywhere(name: str, safe: str) -> None:
    assert safe_name(name) == safe
