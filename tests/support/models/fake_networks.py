"""Small networks for tests of the store: a description and two files, nothing that runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fc7.models.network.spec import LayerSpec, NetworkSpec, caffe_preprocess


def fake_spec(name: str, mark: str = "a", *, trained: bool = True) -> NetworkSpec:
    """A network with two layers whose digests are made of `mark`."""
    layers = (
        LayerSpec("pool5", "pool5", (256, 6, 6), mark * 64),
        LayerSpec("fc7", "fc7", (4096,), (mark * 63) + "7"),
    )
    return NetworkSpec(
        name, "alexnet", caffe_preprocess(), layers, "fc7", trained=trained, source=mark, licence="MIT"
    )


def fake_files(mark: str = "a") -> Callable[[Path], None]:
    """What writes such a network's files."""

    def write(folder: Path) -> None:
        (folder / "network.onnx").write_bytes(b"graph " + mark.encode())
        (folder / "network.weights").write_bytes(mark.encode() * 10_000)

    return write
