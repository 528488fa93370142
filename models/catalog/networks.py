"""The networks the field uses: where their files are, how to know them, what they are good for.

Data only. How each kind of fact was come by:

- Addresses, sizes, hashes: the publishers'. ONNX zoo: ONNX_HUB_MANIFEST.json of github.com/onnx/models,
  files now at Hugging Face. Caffe: the readme.md beside each model in github.com/BVLC/caffe.
  torchvision: its file name carries the hash. Where nothing was published the field is None.
- Feature tensors of zoo files: the manifest's ``extra_ports``; where a converted copy (``-12``) has none
  there, its names were found in published listings of that file.
- Parameters and MACs: counted from the published layer tables; tests/models/catalog/test_catalog.py counts
  again.
- Accuracies: as published, with the publisher beside them.
"""

from __future__ import annotations

from fc7.models.catalog.backbones import EFFICIENTNETS, TORCHVISION
from fc7.models.catalog.entry import (
    INTEL_224,
    UDACITY,
    ZOO_224,
    CatalogEntry,
    WeightSource,
    round_caffe_preprocess,
)
from fc7.models.catalog.transformers import TRANSFORMERS
from fc7.models.network.spec import caffe_preprocess, torch_preprocess

_HUB = "https://huggingface.co/onnxmodelzoo"
_UNRESTRICTED = "unrestricted (BVLC)"


def _zoo(place: str, size: int, sha256: str) -> WeightSource:
    """A file of the ONNX zoo: in a repository of its own, and in the one with all of them."""
    folder, _, stem = place.rpartition("/")
    file = f"{stem}.onnx"
    whole = f"{_HUB}/legacy_models/resolve/main/validated/vision/classification/{folder}/model/{file}"
    return WeightSource((f"{_HUB}/{stem}/resolve/main/{file}", whole), file, size, sha256=sha256)


def _caffe(stem: str, sha1: str) -> WeightSource:
    file = f"{stem}.caffemodel"
    return WeightSource((f"http://dl.caffe.berkeleyvision.org/{file}",), file, sha1=sha1)


_ZOO_ALEXNET = _zoo(
    "alexnet/bvlcalexnet-12", 243_863_787, "6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945"
)
_ALEXNET_LAYERS = (
    ("pool5", 9216),
    ("fc6_pre", 4096),
    ("fc6", 4096),
    ("fc7_pre", 4096),
    ("fc7", 4096),
    ("fc8", 1000),
    ("prob", 1000),
)
_VGG_LAYERS = (("vgg0_dense0_relu_fwd", 4096), ("vgg0_dense1_relu_fwd", 4096), ("vgg0_dense2_fwd", 1000))

NETWORKS: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        "alexnet",
        about="BVLC AlexNet: Krizhevsky's two groups, normalised and then pooled",
        arch="alexnet",
        # The zoo's graph takes 224 pixels and pads; only its weights are used, they are BVLC's.
        sources=(_ZOO_ALEXNET, _caffe("bvlc_alexnet", "9116a64c0fbe4459d18f4bb6b56d647b63920377")),
        licence=_UNRESTRICTED,
        preprocess=caffe_preprocess(227),
        default_layer="fc7",
        layers=_ALEXNET_LAYERS,
        params=60_965_224,
        macs=724_406_816,
        top1=57.1,
        top5=80.2,
        accuracy_source="BVLC/caffe models/bvlc_alexnet/readme.md",
    ),
    CatalogEntry(
        "caffenet",
        about="BVLC CaffeNet: AlexNet that pools before it normalises",
        arch="caffenet",
        sources=(
            _zoo(
                "caffenet/caffenet-12",
                243_863_798,
                "ea563e5c47d1f58e1717cf1a2d8bf288b8adc07af0ad228b622096cd243aeecb",
            ),
            _caffe("bvlc_reference_caffenet", "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46"),
        ),
        licence=_UNRESTRICTED,
        preprocess=caffe_preprocess(227),
        default_layer="fc7",
        layers=_ALEXNET_LAYERS,
        params=60_965_224,
        macs=724_406_816,
        top1=57.4,
        top5=80.4,
        accuracy_source="BVLC/caffe models/bvlc_reference_caffenet/readme.md",
    ),
    CatalogEntry(
        "alexnet-owt",
        about="torchvision AlexNet: one column, no normalisation",
        arch="alexnet-owt",
        sources=(
            WeightSource(
                ("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
                "alexnet-owt-7be5be79.pth",
                244_408_911,
                sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            ),
        ),
        licence="BSD-3-Clause",
        preprocess=torch_preprocess(224),
        default_layer="fc7",
        layers=_ALEXNET_LAYERS,
        params=61_100_840,
        macs=714_188_480,
        top1=56.52,
        top5=79.07,
        accuracy_source="torchvision, AlexNet_Weights.IMAGENET1K_V1",
    ),
    CatalogEntry(
        "alexnet-tf",
        about="BVLC AlexNet's weights in the graph, and with the input, of the Udacity traffic-sign lab",
        arch="alexnet-tf",
        sources=(
            WeightSource(
                ("https://www.cs.toronto.edu/~guerzhoy/tf_alexnet/bvlc_alexnet.npy",),
                "bvlc_alexnet.npy",
                sha256="1294ef51496c52f2e4879ee3b5e1da22c35d61f3240937491b4469403d5428cc",
            ),
            _ZOO_ALEXNET,
        ),
        licence=_UNRESTRICTED,
        preprocess=UDACITY,
        default_layer="fc7",
        layers=_ALEXNET_LAYERS,
        params=60_965_224,
        macs=749_108_768,
    ),
    CatalogEntry(
        "alexnet-int8",
        about="BVLC AlexNet in 8-bit integers by Intel; which names its layers have was not published",
        arch="onnx",
        sources=(
            _zoo(
                "alexnet/bvlcalexnet-12-int8",
                60_984_008,
                "d53bbedf100be79277cf55d78c72bdcb67d88786988561bf5d530f038e443c7b",
            ),
        ),
        # ONNX zoo, alexnet/README.md: BSD-3, of weights that are BVLC's.
        licence="BSD-3-Clause",
        preprocess=INTEL_224,
        # The manifest names the output alone.
        default_layer="prob_1",
        layers=(("prob_1", 1000),),
        top1=54.68,
        top5=78.23,
        accuracy_source="ONNX zoo, alexnet/README.md, AlexNet-int8",
    ),
    *EFFICIENTNETS,
    *TORCHVISION,
    CatalogEntry(
        "googlenet",
        about="BVLC GoogLeNet (Inception v1)",
        arch="onnx",
        sources=(
            _zoo(
                "inception_and_googlenet/googlenet/googlenet-12",
                28_021_836,
                "c99c507058eaf41de8723408fdda7db8325cb57f0a89f2ee07a716d6e963e14e",
            ),
        ),
        licence=_UNRESTRICTED,
        preprocess=round_caffe_preprocess(224),
        default_layer="pool5/7x7_s1_2",
        layers=(("pool5/7x7_s1_2", 1024), ("prob_1", 1000)),
        params=6_998_552,
        macs=1_582_671_872,
        top1=68.7,
        top5=88.9,
        accuracy_source="BVLC/caffe models/bvlc_googlenet/readme.md",
    ),
    CatalogEntry(
        "inception-v2",
        about="Inception v2 from Caffe2; how its images were prepared was never published",
        arch="onnx",
        sources=(
            _zoo(
                "inception_and_googlenet/inception_v2/inception-v2-9",
                45_042_799,
                "37ed4aa93f817fd0d1cc19bda045ebd70f18d0887a5f51e66ecd0ed8fd5a65c2",
            ),
        ),
        licence="MIT",
        preprocess=None,  # Asked in issues 86, 172 and 471 of github.com/onnx/models, not answered.
        default_layer="pool5/7x7_s1_1",
        layers=(("pool5/7x7_s1_1", 1024), ("prob_1", 1000)),
    ),
    CatalogEntry(
        "vgg16",
        about="VGG-16, configuration D",
        arch="onnx",
        sources=(
            _zoo(
                "vgg/vgg16-12",
                553_437_752,
                "722c42f53ca03a5480296bf8f9c85a151de3eed9ec982d7d2302ff6e2900c67b",
            ),
        ),
        licence="Apache-2.0",
        preprocess=ZOO_224,
        default_layer="vgg0_dense1_relu_fwd",
        layers=_VGG_LAYERS,
        params=138_357_544,
        macs=15_470_264_320,
        top1=72.38,
        top5=91.00,
        accuracy_source="ONNX zoo, vgg/README.md, VGG 16-fp32",
    ),
    CatalogEntry(
        "vgg19",
        about="VGG-19, configuration E",
        arch="onnx",
        sources=(
            _zoo(
                "vgg/vgg19-7", 574_677_321, "692f9f927f1df1b89033787a77a73eac59fd9b3344f9ecdf0b13221e41c2046f"
            ),
        ),
        licence="Apache-2.0",
        preprocess=ZOO_224,
        default_layer="vgg0_dense1_relu_fwd",
        layers=_VGG_LAYERS,
        params=143_667_240,
        macs=19_632_062_464,
        top1=73.72,
        top5=91.58,
        accuracy_source="ONNX zoo, vgg/README.md, VGG 19",
    ),
    CatalogEntry(
        "squeezenet1.1",
        about="SqueezeNet 1.1",
        arch="onnx",
        sources=(
            _zoo(
                "squeezenet/squeezenet1.1-7",
                4_956_208,
                "1eeff551a67ae8d565ca33b572fc4b66e3ef357b0eb2863bb9ff47a918cc4088",
            ),
        ),
        licence="Apache-2.0",
        preprocess=ZOO_224,
        # The last Fire module, averaged, not the 1000 class maps behind it: with a linear SVM on Caffe's
        # weights (3 folds, 20 images a class) 84 against 77 % on signs, 77 against 68 % on gtsrb.
        default_layer="squeezenet0_concat7",
        layers=(("squeezenet0_concat7", 512), ("squeezenet0_pool3_fwd", 1000)),
        pool="avg",
        params=1_235_496,
        macs=349_151_936,
        top1=56.34,
        top5=79.12,
        accuracy_source="ONNX zoo, squeezenet/README.md, SqueezeNet 1.1",
    ),
    CatalogEntry(
        "mobilenet-v2",
        about="MobileNet v2, width 1.0",
        arch="onnx",
        sources=(
            _zoo(
                "mobilenet/mobilenetv2-12",
                13_964_571,
                "c0c3f76d93fa3fd6580652a45618618a220fced18babf65774ed169de0432ad5",
            ),
        ),
        licence="Apache-2.0",
        preprocess=ZOO_224,
        default_layer="464",
        layers=(("464", 1280), ("output", 1000)),
        params=3_504_872,
        macs=300_774_272,
        top1=69.48,
        top5=89.26,
        accuracy_source="ONNX zoo, mobilenet/README.md, MobileNet v2-1.0-fp32",
    ),
    CatalogEntry(
        "shufflenet-v2",
        about="ShuffleNet v2, width 1.0",
        arch="onnx",
        sources=(
            _zoo(
                "shufflenet/shufflenet-v2-12",
                9_218_556,
                "ea69821b4dd374ae2f33f9710dd1229ac263d0ee5b5a46ca3521f6483e1ba035",
            ),
        ),
        licence="BSD-3-Clause",
        preprocess=ZOO_224,
        default_layer="611",
        layers=(("611", 1024), ("output", 1000)),
        params=2_278_604,
        macs=144_907_992,
        top1=66.35,
        top5=86.57,
        accuracy_source="ONNX zoo, shufflenet/README.md, ShuffleNet-v2-fp32 (errors 33.65, 13.43)",
    ),
    CatalogEntry(
        "resnet18",
        about="ResNet-18 v1 (MXNet)",
        arch="onnx",
        sources=(
            _zoo(
                "resnet/resnet18-v1-7",
                46_820_737,
                "4e8f8653e7a2222b3904cc3fe8e304cd8b339ce1d05fd24688162f86fb6df52c",
            ),
        ),
        licence="Apache-2.0",
        preprocess=ZOO_224,
        default_layer="resnetv15_pool1_fwd",
        layers=(("resnetv15_pool1_fwd", 512), ("resnetv15_dense0_fwd", 1000)),
        params=11_689_512,
        macs=1_814_073_344,
        top1=69.93,
        top5=89.29,
        accuracy_source="ONNX zoo, resnet/README.md, ResNet18",
    ),
    CatalogEntry(
        "resnet50",
        about="ResNet-50 v1 (MXNet: stride in the first 1x1, biases in the 1x1s)",
        arch="onnx",
        sources=(
            _zoo(
                "resnet/resnet50-v1-12",
                102_576_593,
                "3f03fdef724b22947eed826f1eef1dc5c34151bb4c37d634f1db89dfa2dd1526",
            ),
        ),
        licence="Apache-2.0",
        preprocess=ZOO_224,
        default_layer="resnetv17_pool1_fwd",
        layers=(("resnetv17_pool1_fwd", 2048), ("resnetv17_dense0_fwd", 1000)),
        params=25_575_912,
        macs=3_857_973_248,
        top1=74.97,
        top5=92.33,
        accuracy_source="ONNX zoo, resnet/README.md, ResNet50-fp32",
    ),
    *TRANSFORMERS,
    CatalogEntry(
        "alexnet-untrained",
        about="BVLC AlexNet with random weights, made on the spot: to try the tool, not for results",
        arch="alexnet",
        sources=(),
        licence="MIT",
        preprocess=caffe_preprocess(227),
        default_layer="fc7",
        layers=_ALEXNET_LAYERS,
        params=60_965_224,
        macs=724_406_816,
        trained=False,
    ),
)
