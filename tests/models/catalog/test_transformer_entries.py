"""The catalogue's transformers, on graphs of their tensors' names and shapes, from pull to features."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from PIL import Image

from fc7.extract.cache.reader import load_features
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import WeightSource
from fc7.models.common.progress import Silent
from fc7.models.store.pulling import pull
from tests.support.models.vit_graphs import Vit, export
from tests.support.models.web_server import serving

GRAPHS = {
    "dinov2-small": Vit(width=384, heads=6, patch=14, grid=37),
    "clip-vit-b32": Vit(
        width=768, heads=12, patch=32, grid=7, resized=False, output="image_embeds", projected=512, opset=14
    ),
    "siglip-base": Vit(
        width=768,
        heads=12,
        patch=16,
        grid=14,
        resized=False,
        class_token=False,
        output="pooler_output",
        projected=768,
        opset=14,
    ),
}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5,) * 3, (0.5,) * 3)


def short_side(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """torchvision's Resize(side, BICUBIC), CenterCrop(224), in its own words: the long side is cut off."""
    scale = side / min(image.size)
    size = [side if n == min(image.size) else int(n * scale) for n in image.size]
    pixels = np.asarray(image.resize((size[0], size[1]), Image.Resampling.BICUBIC))
    top, left = round((pixels.shape[0] - 224) / 2), round((pixels.shape[1] - 224) / 2)
    return pixels[top : top + 224, left : left + 224]


def fed(name: str, image: Image.Image) -> NDArray[np.float32]:
    """What the authors' own code feeds the network: (1, 3, 224, 224)."""
    if name == "siglip-base":
        pixels = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC))
    else:
        pixels = short_side(image, 256 if name == "dinov2-small" else 224)
    means, deviations = {"dinov2-small": IMAGENET, "clip-vit-b32": OPENAI, "siglip-base": HALF}[name]
    values = (pixels / 255 - np.array(means)) / np.array(deviations)
    return np.asarray(values.transpose(2, 0, 1)[None], np.float32)


@pytest.mark.parametrize("name", list(GRAPHS))
def test_layer_pool_and_preprocessing_of_an_entry_give_what_its_authors_would_compute(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    graph = export(GRAPHS[name]).SerializeToString()
    entry = catalog.entry(name)
    rng = np.random.default_rng(8)
    pictures = []
    for i, size in enumerate(((411, 300), (260, 390), (224, 224))):
        coarse = rng.integers(0, 256, (9, 9, 3), np.uint8)
        pictures.append(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
        (tmp_path / "imgs").mkdir(exist_ok=True)
        pictures[-1].save(tmp_path / "imgs" / f"{i}.png")
    with serving() as server:
        url = server.add(f"/{entry.sources[0].filename}", graph)
        source = WeightSource(
            (url,), entry.sources[0].filename, len(graph), hashlib.sha256(graph).hexdigest()
        )
        changed = dataclasses.replace(entry, sources=(source,))
        monkeypatch.setattr(
            "fc7.models.catalog.catalog.NETWORKS",
            tuple(changed if known.name == name else known for known in catalog.NETWORKS),
        )
        stored = pull(name, Silent())
    assert stored.spec.licence == entry.licence
    assert stored.spec.preprocess == entry.preprocess
    assert stored.spec.layer(entry.default_layer).dim(stored.spec.pool) == entry.dim
    options = ExtractOptions(network=name, device="cpu", precision="fp32", exact_decode=True)
    extract_features([tmp_path / "imgs"], tmp_path / "f.h5", options)
    found = load_features(tmp_path / "f.h5").X
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for row, picture in zip(found, pictures, strict=True):
        (wanted,) = session.run([entry.default_layer], {"pixel_values": fed(name, picture)})
        token = wanted[0, 0] if name == "dinov2-small" else wanted[0]
        assert row.shape == token.shape == (entry.dim,)
        assert np.abs(row - token).max() <= 1e-4 * np.abs(token).max()
