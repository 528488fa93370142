"""A stored network that is damaged or replaced gives no features under a fingerprint of others."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fc7.extract.cache.reader import load_features
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.records import ImageRef, Listing, Pixels
from fc7.models.common.errors import MismatchError, WeightsError
from fc7.models.network.spec import caffe_preprocess
from fc7.models.store import store
from fc7.models.store.importing import ImportOptions, import_network
from tests.support import COLOURS, CommandLine, coloured_picture, tiny_network, write_pictures
from tests.support.fakes import MemoryOrigin

OPTIONS = ExtractOptions(network="tiny", batch_size=4, jobs=1)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    put(tmp_path, seed=0)
    return tmp_path / "store"


def put(folder: Path, seed: int) -> None:
    """Import `tiny_network`, in place of an earlier one."""
    file = tiny_network(folder / f"tiny{seed}.onnx", seed)
    import_network(
        file, "tiny", ImportOptions(preprocess=caffe_preprocess(), layer="embedding", replace=True)
    )


class Interrupting(MemoryOrigin):
    """Pictures in memory; something happens when a certain one is read."""

    def __init__(self, at: int, what: Callable[[], None]) -> None:
        files: dict[str, bytes | None] = {}
        for colour in COLOURS:
            for i in range(20):
                buffer = io.BytesIO()
                Image.fromarray(coloured_picture(colour, i)).save(buffer, "PNG")
                files[f"{colour}/{i:02}.png"] = buffer.getvalue()
        super().__init__(files)
        self._at, self._what = at, what

    def read(self, ref: ImageRef) -> bytes | Pixels:
        if len(self.reads) == self._at:
            self._what()
        return super().read(ref)

    def listing(self) -> Listing:
        return Listing(self.refs(), [], {}, ("memory",))


def test_a_network_replaced_before_it_is_opened_ends_the_run_by_name(tmp_path: Path) -> None:
    out = tmp_path / "features.h5"
    with pytest.raises(WeightsError, match="network 'tiny' was replaced or changed during this run"):
        extract_features(Interrupting(0, lambda: put(tmp_path, 1)).listing(), out, OPTIONS)
    assert not out.exists()


def removed(folder: Path) -> None:
    store.remove("tiny")


def linked(folder: Path) -> None:
    """As a backup of hard links does: the files' change time is a new one, their content is not."""
    for file in store.load("tiny").folder.iterdir():
        (folder / f"backup-{file.name}").hardlink_to(file)


@pytest.mark.parametrize("change", [partial(put, seed=1), removed])
def test_a_network_replaced_or_removed_while_it_runs_ends_the_run_by_name_and_keeps_its_rows(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    quiet = Interrupting(-1, lambda: None).listing()
    extract_features(quiet, tmp_path / "whole.h5", OPTIONS)
    out = tmp_path / "features.h5"
    with pytest.raises(WeightsError, match="network 'tiny' was replaced or changed during this run"):
        extract_features(Interrupting(40, lambda: change(tmp_path)).listing(), out, OPTIONS)
    whole, found = load_features(tmp_path / "whole.h5"), load_features(out)
    assert found.fingerprint == whole.fingerprint
    assert 0 < len(found.paths) < len(whole.paths)
    row = {path: i for i, path in enumerate(whole.paths)}
    np.testing.assert_array_equal(found.X, whole.X[[row[path] for path in found.paths]])


def test_what_was_made_with_a_replaced_network_is_not_added_to(tmp_path: Path) -> None:
    quiet = Interrupting(-1, lambda: None).listing()
    extract_features(quiet, tmp_path / "features.h5", OPTIONS)
    put(tmp_path, seed=1)
    with pytest.raises(MismatchError, match="other weights under the same name"):
        extract_features(quiet, tmp_path / "features.h5", OPTIONS)


def test_a_backup_of_hard_links_ends_no_run(tmp_path: Path) -> None:
    extract_features(Interrupting(40, lambda: linked(tmp_path)).listing(), tmp_path / "features.h5", OPTIONS)
    assert len(load_features(tmp_path / "features.h5").paths) == len(COLOURS) * 20


def test_zeroed_bytes_in_the_stored_weights_end_extract_and_classify(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    imgs = write_pictures(tmp_path / "imgs")
    cli.good("extract", imgs, "--network", "tiny")
    cli.good("fit", "--force", "--svm")
    weights = store.load("tiny").folder / "network.weights"
    data = bytearray(weights.read_bytes())
    data[1000:1400] = bytes(400)
    weights.write_bytes(data)
    for arguments in (("extract", imgs, "--network", "tiny", "-o", "new.h5"), ("classify", imgs / "red")):
        ran = cli(*arguments)
        assert ran.code == 1
        assert "network.weights has the checksum" in ran.err
        assert " models verify tiny` checks every file" in ran.err
    verified = cli("models", "verify", "tiny")
    assert verified.code == 1
    assert "network.weights has sha256" in verified.err
