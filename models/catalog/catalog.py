"""Look up what is known of networks and of their files. Data only, from `models.catalog.networks`."""

from __future__ import annotations

from fc7.models.catalog.entry import PREPROCESS_PRESETS, CatalogEntry, WeightSource, round_caffe_preprocess
from fc7.models.catalog.networks import NETWORKS
from fc7.models.common.errors import UnknownNetworkError
from fc7.models.common.names import guess
from fc7.models.network.spec import caffe_preprocess

__all__ = [
    "KNOWN_FILES",
    "NETWORKS",
    "PREPROCESS_PRESETS",
    "UNTRAINED",
    "CatalogEntry",
    "WeightSource",
    "by_file",
    "entry",
    "names",
]

UNTRAINED = "alexnet-untrained"
"""The network that is made on the spot, with random weights."""

# Files that turn up on disks but have no address of their own to fetch them from. Their tensors
# were read from the files, their preprocessing is that of the network they were converted from.
KNOWN_FILES: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        "googlenet-caffejs",
        about="BVLC GoogLeNet, converted from github.com/chaosmail/caffejs @d161d610",
        arch="onnx",
        sources=(
            WeightSource(
                (),
                "googlenet-bvlc.onnx",
                28_019_541,
                sha256="5aa8ec27f8776037caf57c2b1ccd92e05085e0ac78ba0456988ee559bfc2d6b9",
            ),
        ),
        licence="unrestricted (BVLC)",
        preprocess=round_caffe_preprocess(224),
        default_layer="pool5_7x7_s1_out",
        layers=(("pool5_7x7_s1_out", 1024), ("prob_out", 1000)),
        params=6_998_552,
        macs=1_582_671_872,
        top1=68.7,
        top5=88.9,
        accuracy_source="BVLC/caffe models/bvlc_googlenet/readme.md",
    ),
    CatalogEntry(
        "squeezenet1.1-caffejs",
        about="SqueezeNet 1.1 of its authors, converted from github.com/chaosmail/caffejs @d161d610",
        arch="onnx",
        sources=(
            WeightSource(
                (),
                "squeezenet1.1.onnx",
                4_951_782,
                sha256="17e8402af0268f19ad3dc854c57a62ed720589e6c9b5f6db126ea8a3993c3f8c",
            ),
        ),
        licence="BSD",
        preprocess=round_caffe_preprocess(227),
        default_layer="fire9_concat_out",
        layers=(("fire9_concat_out", 512), ("pool10_out", 1000), ("prob_out", 1000)),
        pool="avg",
        params=1_235_496,
        macs=387_747_520,
    ),
    CatalogEntry(
        "squeezenet1.1-winml",
        about=(
            "SqueezeNet 1.1 in fp16, one image at a time, from microsoft/Windows-Machine-Learning @155b5eeb"
        ),
        arch="onnx",
        sources=(
            WeightSource(
                (),
                "squeezenet1.1-fp16-batch1.onnx",
                2_484_091,
                sha256="21f25e3d9254af93e6218a359469fac714a017b3f9035c0f5c4acbf9a3ff7233",
            ),
        ),
        licence="MIT",
        preprocess=round_caffe_preprocess(224),
        default_layer="fire9/concat_1",
        layers=(("fire9/concat_1", 512), ("pool10_1", 1000), ("softmaxout_1", 1000)),
        pool="avg",
        params=1_235_496,
        macs=349_151_936,
    ),
    CatalogEntry(
        "alexnet-quantised-trunk",
        about="BVLC AlexNet to pool5, product-quantised, from github.com/jiaxiang-wu/quantized-cnn @d6e5084a",
        arch="onnx",
        sources=(
            WeightSource(
                (),
                "alexnet-bvlc-pq-to-pool5.onnx",
                9_338_049,
                sha256="b9b334aec71c0f86a19314141c8cf04d02a84e8f070260111ffe6f577431bea7",
            ),
        ),
        licence="none stated",
        preprocess=caffe_preprocess(227),
        default_layer="pool5_out",
        layers=(("pool5_out", 9216),),
        params=2_334_080,
        macs=665_784_864,
    ),
)


def names() -> tuple[str, ...]:
    """What `models pull` can be asked for, in the order of the table."""
    return tuple(network.name for network in NETWORKS)


def entry(name: str) -> CatalogEntry:
    """The network called `name`.

    Raises
    ------
    UnknownNetworkError
        With the names there are.

    Examples
    --------
    >>> alexnet = entry("alexnet")
    >>> alexnet.default_layer, alexnet.params
    ('fc7', 60965224)
    """
    for network in NETWORKS:
        if network.name == name:
            return network
    raise UnknownNetworkError(
        f"no network {name!r} in the catalogue; it has {', '.join(names())}.{guess(name, names())}"
    )


def by_file(
    *, sha256: str | None = None, sha1: str | None = None, address: str | None = None
) -> tuple[CatalogEntry, ...]:
    """Every network that a file is a published source of, in the order of the table.

    Parameters
    ----------
    sha256, sha1 : str or None
        Hex digests of the file.
    address : str or None
        Where it was fetched from. It counts for a file of which no whole hash was published.

    Returns
    -------
    tuple of CatalogEntry
        More than one where networks differ only in the graph, as `alexnet` and `alexnet-tf`; empty for a
        file nobody listed.

    Examples
    --------
    >>> source = entry("googlenet").sources[0]
    >>> [network.name for network in by_file(sha256=source.sha256, sha1=source.sha1)]
    ['googlenet']
    """

    def is_it(source: WeightSource) -> bool:
        if not source.has_hash:
            begins = source.sha256_prefix and (sha256 or "").lower().startswith(source.sha256_prefix)
            return bool(begins) or address in source.urls
        return source.sha256 == (sha256 or "").lower() or source.sha1 == (sha1 or "").lower()

    return tuple(
        network for network in (*NETWORKS, *KNOWN_FILES) if any(is_it(source) for source in network.sources)
    )
