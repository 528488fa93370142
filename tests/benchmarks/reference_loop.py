"""What a competent user would write with PyTorch: a DataLoader with two workers, Pillow, the same network.

Only used when torch is installed. The AlexNets are built from PyTorch's own layers with the weights
of the store's network, so both sides compute the same features.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from onnx import load_model, numpy_helper
from PIL import Image

from fc7.models.network.spec import NetworkSpec


class Pictures:
    """A map-style data set: path -> normalised float32 tensor, as torchvision's transforms give."""

    def __init__(self, paths: list[Path], spec: NetworkSpec) -> None:
        self.paths, self.spec = paths, spec

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        import torch

        spec = self.spec.preprocess
        image = Image.open(self.paths[index]).convert("RGB")
        if spec.resize == "short":
            scale = spec.resize_height / min(image.size)
            size = (round(image.width * scale), round(image.height * scale))
        else:
            size = (spec.resize_width, spec.resize_height)
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = (image.width - spec.crop_width) // 2, (image.height - spec.crop_height) // 2
        image = image.crop((left, top, left + spec.crop_width, top + spec.crop_height))
        pixels = np.asarray(image, np.float32)
        if spec.channel_order == "BGR":
            pixels = pixels[..., ::-1]
        values = (pixels * spec.scale - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
        return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1), np.float32))


def build(graph: Path, arch: str) -> Any:
    """The network to fc7 from PyTorch's layers."""
    import torch
    from torch import nn

    weights = {t.name: numpy_helper.to_array(t) for t in load_model(str(graph)).graph.initializer}
    bvlc = arch in ("alexnet", "caffenet")

    def conv(name: str, **settings: int) -> Any:
        w = weights[f"{name}.weight"]
        groups = settings.get("groups", 1)
        layer = nn.Conv2d(w.shape[1] * groups, w.shape[0], w.shape[2], **settings)
        return fill(layer, name)

    def fill(layer: Any, name: str) -> Any:
        layer.weight.data = torch.tensor(weights[f"{name}.weight"])
        layer.bias.data = torch.tensor(weights[f"{name}.bias"])
        return layer

    def between() -> list[Any]:
        norm, pool = nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0), nn.MaxPool2d(3, 2)
        if not bvlc:
            return [pool]
        return [norm, pool] if arch == "alexnet" else [pool, norm]

    two = {"groups": 2} if bvlc else {}
    steps = [conv("conv1", stride=4, padding=0 if bvlc else 2), nn.ReLU(), *between()]
    steps += [conv("conv2", padding=2, **two), nn.ReLU(), *between()]
    steps += [conv("conv3", padding=1), nn.ReLU(), conv("conv4", padding=1, **two), nn.ReLU()]
    steps += [conv("conv5", padding=1, **two), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()]
    for name in ("fc6", "fc7"):
        shape = weights[f"{name}.weight"].shape
        steps += [fill(nn.Linear(shape[1], shape[0]), name), nn.ReLU()]
    return nn.Sequential(*steps).eval()


def images_per_second(paths: list[Path], spec: NetworkSpec, network: Any, *, bf16: bool) -> float:
    """The loop, timed from its start to the last feature."""
    import torch

    network = network.to(torch.bfloat16 if bf16 else torch.float32)
    started = time.perf_counter()
    loader = torch.utils.data.DataLoader(Pictures(paths, spec), batch_size=32, num_workers=2)
    done = 0
    with torch.inference_mode():
        for batch in loader:
            done += len(network(batch.to(torch.bfloat16) if bf16 else batch).float().numpy())
    return done / (time.perf_counter() - started)


def _main() -> None:
    """``-m tests.benchmarks.reference_loop FOLDER NETWORK``, in single precision."""
    from fc7.models.store import store

    folder, name = sys.argv[1:]
    network = store.load(name)
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    print(images_per_second(paths, network.spec, build(network.graph_path, network.spec.arch), bf16=False))


if __name__ == "__main__":
    _main()
