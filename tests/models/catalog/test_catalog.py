"""The catalogue's facts, as far as they can be counted, hashed or looked up here."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
import typing
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from fc7.models.backbones.build import needed_shapes
from fc7.models.backbones.known import BACKBONES, BUILT
from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import KNOWN_FILES, NETWORKS, PREPROCESS_PRESETS, CatalogEntry
from fc7.models.catalog.transformers import TRANSFORMERS
from fc7.models.commands import ArchOption
from fc7.models.common.errors import UnknownNetworkError
from fc7.models.network.architectures import ARCHITECTURES
from fc7.models.network.spec import PreprocessSpec, caffe_preprocess, torch_preprocess
from fc7.models.store.paths import is_name
from tests.support import ROOT
from tests.support.models import published_counts as published

SHARED = ROOT / ".." / "shared" / "networks"
EVERY = (*NETWORKS, *KNOWN_FILES)


def named(entry: CatalogEntry) -> str:
    return entry.name


def test_the_catalogue_has_the_networks_of_the_field() -> None:
    assert catalog.names() == (
        *("alexnet", "caffenet", "alexnet-owt", "alexnet-tf", "alexnet-int8"),
        *("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"),
        *("resnet50-v2", "mobilenet-v3-large", "convnext-tiny"),
        *("googlenet", "inception-v2", "vgg16", "vgg19"),
        *("squeezenet1.1", "mobilenet-v2", "shufflenet-v2", "resnet18", "resnet50"),
        *("dinov2-small", "clip-vit-b32", "siglip-base", "alexnet-untrained"),
    )
    assert all(is_name(name) for name in catalog.names())


LITE_WIDTHS = (16, 24, 40, 80, 112, 192, 320)
COUNTS: dict[str, Callable[[], tuple[int, int]]] = {
    "alexnet": published.alexnet,
    "caffenet": published.alexnet,
    "alexnet-untrained": published.alexnet,
    "alexnet-owt": published.alexnet_owt,
    "alexnet-tf": lambda: published.alexnet(conv1_pad=4),
    "efficientnet-lite0": lambda: published.efficientnet_lite(224, LITE_WIDTHS, (1, 2, 2, 3, 3, 4, 1)),
    "efficientnet-lite1": lambda: published.efficientnet_lite(240, LITE_WIDTHS, (1, 3, 3, 4, 4, 5, 1)),
    "efficientnet-lite2": lambda: published.efficientnet_lite(
        260, (16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1)
    ),
    "resnet50-v2": published.resnet50,
    "mobilenet-v3-large": published.mobilenet_v3_large,
    "convnext-tiny": published.convnext_tiny,
    "googlenet": published.googlenet,
    "vgg16": lambda: published.vgg(2, 2, 3, 3, 3),
    "vgg19": lambda: published.vgg(2, 2, 4, 4, 4),
    "squeezenet1.1": lambda: published.squeezenet(224),
    "mobilenet-v2": published.mobilenet_v2,
    "shufflenet-v2": published.shufflenet_v2,
    "resnet18": published.resnet18,
    "resnet50": published.resnet50_mxnet,
    "dinov2-small": published.dinov2_small,
    "clip-vit-b32": published.clip_vit_b32,
    "siglip-base": published.siglip_base,
}


@pytest.mark.parametrize("entry", NETWORKS, ids=named)
def test_parameters_and_multiplications_are_those_of_the_published_tables(entry: CatalogEntry) -> None:
    if entry.name not in COUNTS:
        assert (entry.params, entry.macs) == (None, None)
        return
    assert (entry.params, entry.macs) == COUNTS[entry.name]()


def test_the_counts_agree_with_figures_others_publish() -> None:
    """Design section 4, and the tables of torchvision and MXNet (with 53,120 running statistics)."""
    assert published.alexnet()[0] == 60_965_224
    assert published.alexnet_owt()[0] == 61_100_840
    assert published.vgg(2, 2, 3, 3, 3)[0] == 138_357_544
    assert published.resnet18()[0] == 11_689_512
    assert published.resnet50_mxnet()[0] == 25_629_032 - 53_120
    assert published.mobilenet_v2()[0] == 3_504_872
    assert published.shufflenet_v2()[0] == 2_278_604
    # github.com/d-li14/efficientnet-lite.pytorch, README.md: 4.652 M parameters, 0.385 G multiplications.
    params, macs = published.efficientnet_lite(224, LITE_WIDTHS, (1, 2, 2, 3, 3, 4, 1))
    assert (round(params / 1e6, 3), round(macs / 1e9, 3)) == (4.652, 0.385)
    # num_params and _ops in the metadata of torchvision's weights.
    for counted, wanted in (
        (published.resnet50(), (25_557_032, 4.089)),
        (published.mobilenet_v3_large(), (5_483_032, 0.217)),
        (published.convnext_tiny(), (28_589_128, 4.456)),
    ):
        assert (counted[0], round(counted[1] / 1e9, 3)) == wanted
    # The same tower at 384 pixels with 1000 classes: "Params (M): 88.3, GMACs: 12.7" in the model card of
    # timm/vit_base_patch32_clip_384.openai_ft_in12k_in1k.
    params, macs = published.clip_vit_b32(384, 1000)
    assert (round(params / 1e6, 1), round(macs / 1e9, 1)) == (88.3, 12.7)


@pytest.mark.parametrize("entry", EVERY, ids=named)
def test_an_entry_is_consistent(entry: CatalogEntry) -> None:
    assert entry.default_layer in dict(entry.layers)
    assert entry.dim == dict(entry.layers)[entry.default_layer] > 0
    assert entry.arch in ("onnx", *BUILT)
    assert entry.licence
    assert (entry.top1 is None) == (entry.accuracy_source == "")
    assert entry.top1 is not None or entry.top5 is None
    assert entry.top1 is None or 50 < entry.top1 < 95
    if entry.top1 is not None and entry.top5 is not None:
        assert 50 < entry.top1 < entry.top5 < 97
    for source in entry.sources:
        # Without a hash it is trusted on first use; the first digits are no hash.
        assert source.has_hash or all(url.startswith("https://") for url in source.urls)
        assert re.fullmatch("([0-9a-f]{8,63})?", source.sha256_prefix)
        assert not (source.has_hash and source.sha256_prefix)
        assert source.sha256 is None or re.fullmatch("[0-9a-f]{64}", source.sha256)
        assert source.sha1 is None or re.fullmatch("[0-9a-f]{40}", source.sha1)
        assert source.size is None or 1e6 < source.size < 6e8
        for url in source.urls:
            assert urlsplit(url).scheme in ("http", "https")
            assert url.endswith("/" + source.filename)
        # A file comes by one way; where pip brings it, its bytes and its sha256 are known.
        assert not (source.urls and source.package)
        assert not source.package or (source.size and source.sha256)
        # Over plain http only a hash stands between us and whoever is in the middle.
        assert source.sha256 or source.sha1 or all(url.startswith("https") for url in source.urls)


@pytest.mark.parametrize("entry", TRANSFORMERS, ids=named)
def test_a_transformers_file_holds_its_parameters_and_little_more(entry: CatalogEntry) -> None:
    """Four bytes for each, and the graph: a size, a count or a file of half precision would show."""
    assert entry.size is not None
    assert entry.params is not None
    assert 0 < entry.size - 4 * entry.params < 500_000
    assert entry.preprocess is not None
    assert (entry.preprocess.crop_height, entry.preprocess.interpolation) == (224, "bicubic")
    assert len(entry.name) <= 22
    for source in entry.sources:
        revision, branch = (url.split("/resolve/")[1].split("/")[0] for url in source.urls)
        assert re.fullmatch("[0-9a-f]{40}", revision)
        assert branch == "main"


@pytest.mark.parametrize("entry", [e for e in NETWORKS if e.arch in ARCHITECTURES], ids=named)
def test_networks_we_build_agree_with_their_plan(entry: CatalogEntry) -> None:
    plan = ARCHITECTURES[entry.arch]
    assert entry.preprocess == plan.preprocess
    assert entry.params == sum(
        plan.parameters(layer) for layer in {key.rpartition(".")[0] for key in plan.weight_shapes()}
    )
    assert dict(entry.layers)["pool5"] == plan.weight_shapes()["fc6.weight"][1]
    assert entry.trained == bool(entry.sources)


@pytest.mark.parametrize("entry", [e for e in NETWORKS if e.arch in BACKBONES], ids=named)
def test_backbones_agree_with_their_plan(entry: CatalogEntry) -> None:
    plan = BACKBONES[entry.arch]
    assert (entry.preprocess, entry.default_layer, entry.pool) == (
        plan.preprocess,
        plan.default_layer,
        plan.pool,
    )
    shapes = needed_shapes(plan)
    learnt = (key for key in shapes if not key.endswith((".running_mean", ".running_var")))
    assert entry.params == sum(math.prod(shapes[key]) for key in learnt)
    assert shapes[f"{plan.classifier}.weight"] == (1000, entry.dim)
    assert typing.get_args(typing.get_args(typing.get_args(ArchOption)[0])[0]) == BUILT


def test_every_other_network_can_be_fetched() -> None:
    for entry in NETWORKS:
        assert not entry.trained or all(source.urls or source.package for source in entry.sources)
        assert not entry.trained or entry.sources


def test_presets_are_the_recipes_they_are_named_after() -> None:
    assert list(PREPROCESS_PRESETS) == ["caffe", "torch", "tf", "clip", "siglip", "udacity", "zoo-224"]
    assert PREPROCESS_PRESETS["caffe"] == caffe_preprocess(227)
    assert PREPROCESS_PRESETS["torch"] == PREPROCESS_PRESETS["zoo-224"] == torch_preprocess(224)
    assert PREPROCESS_PRESETS["udacity"] == ARCHITECTURES["alexnet-tf"].preprocess
    # Keras's imagenet_utils.py and slim's inception_preprocessing.py; CLIP's clip.py; the
    # preprocessor_config.json of google/siglip-base-patch16-224.
    half, levels = (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)
    clip = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    assert PREPROCESS_PRESETS["tf"] == PreprocessSpec(
        "warp", 256, 256, 224, 224, "RGB", "bilinear", scale=1 / 127.5, mean=levels
    )
    assert PREPROCESS_PRESETS["clip"] == PreprocessSpec(
        "short", 224, 224, 224, 224, "RGB", "bicubic", scale=1 / 255, mean=clip[0], std=clip[1]
    )
    assert PREPROCESS_PRESETS["siglip"] == PreprocessSpec(
        "warp", 224, 224, 224, 224, "RGB", "bicubic", scale=1 / 255, mean=half, std=half
    )
    googlenet = catalog.entry("googlenet").preprocess
    assert googlenet == dataclasses.replace(caffe_preprocess(224), mean=(104.0, 117.0, 123.0))


def test_a_network_is_known_by_the_hash_of_any_of_its_files() -> None:
    zoo = "6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945"
    alexnet, caffenet, of_tf = (catalog.entry(name) for name in ("alexnet", "caffenet", "alexnet-tf"))
    assert catalog.by_file(sha256=zoo) == catalog.by_file(sha256=zoo.upper()) == (alexnet, of_tf)
    assert catalog.by_file(sha1="4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46") == (caffenet,)
    assert catalog.by_file(sha256="0" * 64, sha1="0" * 40) == ()
    assert catalog.by_file() == ()
    # An address proves nothing where a hash was published.
    assert catalog.by_file(address=alexnet.sources[0].urls[0]) == ()


def test_files_are_not_confused() -> None:
    """Only alexnet and alexnet-tf are made of one file; every other hash is one network's."""
    hashes = [s.sha256 or s.sha1 or s.sha256_prefix for entry in EVERY for s in entry.sources]
    twice = {digest for digest in hashes if hashes.count(digest) > 1}
    assert twice == {catalog.entry("alexnet").sources[0].sha256}


def test_an_unknown_name_is_guessed() -> None:
    with pytest.raises(UnknownNetworkError, match=r"alexnet-untrained.*Did you mean 'googlenet'\?"):
        catalog.entry("googelnet")


@pytest.mark.parametrize("entry", KNOWN_FILES, ids=named)
def test_the_known_files_are_the_shared_ones_with_these_tensors_and_counts(entry: CatalogEntry) -> None:
    (source,) = entry.sources
    path = SHARED / source.filename
    if not path.is_file():
        pytest.skip(f"../shared/networks/{source.filename} is not here")
    from fc7.models.graph.files import load_whole_graph
    from fc7.models.graph.surgery import input_size, layer_shapes

    assert path.stat().st_size == source.size
    assert hashlib.sha256(path.read_bytes()).hexdigest() == source.sha256
    model = load_whole_graph(path)
    shapes = layer_shapes(model)
    for tensor, dim in entry.layers:
        flat = 1
        for extent in shapes[tensor]:
            flat *= extent
        assert dim == (shapes[tensor][0] if entry.pool == "avg" else flat)
    assert entry.preprocess is not None
    assert input_size(model) == (entry.preprocess.crop_height, entry.preprocess.crop_width)
    dense_params, dense_macs = 37_752_832 + 16_781_312 + 4_097_000, 9216 * 4096 + 4096 * 4096 + 4096 * 1000
    params, macs = published.alexnet()
    expected: dict[str, Callable[[], tuple[int, int]]] = {
        "alexnet-quantised-trunk": lambda: (params - dense_params, macs - dense_macs),
        "googlenet-caffejs": published.googlenet,
        "squeezenet1.1-caffejs": lambda: published.squeezenet(227),
        "squeezenet1.1-winml": lambda: published.squeezenet(224),
    }
    assert (entry.params, entry.macs) == expected[entry.name]()
