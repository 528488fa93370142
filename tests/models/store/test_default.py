"""The default network: FC7_NETWORK, then the store's, then AlexNet; and what is said of a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fc7.models.common.errors import Fc7Error, UsageError
from fc7.models.store import default, store
from fc7.models.store.default import (
    DefaultNetwork,
    default_network,
    forget_default,
    keep_default,
    shown_default,
)
from tests.support.models.fake_networks import fake_files, fake_spec


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FC7_NETWORK", raising=False)
    return tmp_path / "home"


def test_the_environment_goes_before_the_store_and_the_store_before_alexnet(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_network() == DefaultNetwork("alexnet", "fc7")
    assert keep_default("vgg16") == root / "default-network"
    assert default_network() == DefaultNetwork("vgg16", "store")
    assert shown_default() == f"vgg16 (by {root / 'default-network'})"
    monkeypatch.setenv("FC7_NETWORK", " resnet18 ")
    assert default_network() == DefaultNetwork("resnet18", "environment")
    assert shown_default() == "resnet18 (by FC7_NETWORK)"
    monkeypatch.setenv("FC7_NETWORK", "")
    assert forget_default()
    assert not forget_default()
    assert default_network() == DefaultNetwork("alexnet", "fc7")
    assert [path.name for path in root.iterdir()] == []


def test_a_network_of_ones_own_can_be_the_default_while_it_is_here(root: Path) -> None:
    store.save(fake_spec("mine"), fake_files(), replace=False)
    keep_default("mine")
    assert default_network().name == "mine"
    store.remove("mine")
    with pytest.raises(UsageError) as caught:
        default_network()
    assert str(caught.value).startswith(
        f"'mine' is the default by {root / 'default-network'}, but no network"
    )
    assert "`fc7 models default --unset` takes it away" in str(caught.value)


def test_an_unknown_name_in_the_environment_is_said_to_come_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FC7_NETWORK", "../alexnet")
    with pytest.raises(UsageError) as caught:
        default_network()
    assert str(caught.value).startswith("'../alexnet' is the default by FC7_NETWORK, but no network")
    assert "set FC7_NETWORK to another name, or unset it" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"two\nlines\n", b"alexnett"])
def test_a_damaged_file_is_named_and_can_be_taken_away(root: Path, content: bytes) -> None:
    root.mkdir()
    file = root / "default-network"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="default-network"):
        default_network()
    assert shown_default()
    assert forget_default()
    assert default_network().name == "alexnet"


def test_a_store_that_cannot_be_written_is_a_message(root: Path) -> None:
    root.write_text("a file in the place of the folder")
    with pytest.raises(Fc7Error, match=r"default-network: cannot be written .*home is a file"):
        keep_default("vgg16")
    assert default_network().name == "alexnet"
    assert not forget_default()


def test_what_was_kept_survives_a_write_that_fails(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_default("vgg16")

    def full(path: Path, data: bytes) -> Path:
        path.with_name("part").write_bytes(data)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(default, "write_whole", full)
    with pytest.raises(Fc7Error, match="free the disk or choose another FC7_HOME"):
        keep_default("vgg19")
    assert default_network().name == "vgg16"
