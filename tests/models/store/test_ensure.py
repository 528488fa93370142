"""`ensure_network` with a name that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from fc7.models.catalog import catalog
from fc7.models.common.errors import UnknownNetworkError
from fc7.models.common.progress import Silent
from fc7.models.store import store
from fc7.models.store.ensure import ensure_network
from tests.support.models.fake_networks import fake_files, fake_spec


@pytest.mark.parametrize("download", [True, False])
def test_an_unknown_name_lists_the_store_and_the_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, download: bool
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path))
    with pytest.raises(UnknownNetworkError, match="has none; the catalogue has"):
        ensure_network("myne", Silent(), download=download)
    store.save(fake_spec("mine"), fake_files(), replace=False)
    with pytest.raises(UnknownNetworkError, match=r"Did you mean 'mine'\?") as caught:
        ensure_network("myne", Silent(), download=download)
    said = str(caught.value)
    assert f"the network store {tmp_path} has mine;" in said
    assert all(name in said for name in catalog.names())
    with pytest.raises(UnknownNetworkError, match=r"Did you mean 'caffenet'\?"):
        ensure_network("cafenet", Silent(), download=download)


def test_a_network_of_the_catalogue_that_may_not_be_downloaded_is_said_to_be_pullable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path))
    with pytest.raises(UnknownNetworkError, match="models pull caffenet"):
        ensure_network("caffenet", Silent(), download=False)
