"""Small networks with the parts of the published ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.models.caffe_files import AVE, MAX, Layer, Maker, Word


def googlenet(side: int) -> list[Layer]:
    """Two inception modules between ceil poolings that do not come out even, as in BVLC GoogLeNet."""
    net = Maker(3)
    net.conv("conv1/7x7_s2", "data", 3, 8, 7, stride=2, pad=3)
    net.relu("conv1/7x7_s2", "conv1/relu_7x7")
    net.pool("pool1/3x3_s2", "conv1/7x7_s2")
    net.norm("pool1/norm1", "pool1/3x3_s2")
    inception(net, "3a", "pool1/norm1", 8)
    net.pool("pool3/3x3_s2", "3a/output")
    inception(net, "4a", "pool3/3x3_s2", 16)
    net.pool("pool4/3x3_s2", "4a/output", AVE, pad=1)
    net.add("Pooling", "pool5", "pool4/3x3_s2", pool=AVE, global_pooling=True)
    net.add("Dropout", "pool5/drop", "pool5", "pool5", dropout_ratio=0.4)
    net.dense("loss3/classifier", "pool5", 16, 12)
    net.add("Softmax", "prob", "loss3/classifier")
    assert side % 2
    return net.layers


def inception(net: Maker, name: str, bottom: str, ins: int) -> None:
    parts = []
    for kernel, outs in ((1, 4), (3, 6), (5, 4)):
        part = f"{name}/{kernel}x{kernel}"
        here = bottom
        if kernel > 1:
            net.conv(f"{part}_reduce", bottom, ins, 3, 1)
            net.relu(f"{part}_reduce", f"{name}/relu_{kernel}x{kernel}_reduce")
            here = f"{part}_reduce"
        net.conv(part, here, ins if kernel == 1 else 3, outs, kernel, pad=kernel // 2)
        net.relu(part, f"{name}/relu_{kernel}x{kernel}")
        parts.append(part)
    net.pool(f"{name}/pool", bottom, MAX, 3, 1, pad=1)
    net.conv(f"{name}/pool_proj", f"{name}/pool", ins, 2, 1)
    net.relu(f"{name}/pool_proj", f"{name}/relu_pool_proj")
    net.add("Concat", f"{name}/output", [*parts, f"{name}/pool_proj"])


def resnet() -> list[Layer]:
    """Convolutions without bias, normalised in place, added to a short cut."""
    net = Maker(5)
    net.conv("conv1", "data", 3, 6, 7, stride=2, pad=3, bias_term=False)
    normalised(net, "conv1", 6)
    net.relu("conv1", "conv1_relu")
    net.pool("pool1", "conv1")
    net.conv("branch1", "pool1", 6, 8, 1, bias_term=False)
    normalised(net, "branch1", 8)
    net.conv("branch2a", "pool1", 6, 4, 3, pad=1, bias_term=False)
    normalised(net, "branch2a", 4)
    net.relu("branch2a", "branch2a_relu")
    net.conv("branch2b", "branch2a", 4, 8, 3, pad=2, dilation=2)
    normalised(net, "branch2b", 8)
    net.add("Eltwise", "res", ["branch1", "branch2b"])
    net.relu("res", "res_relu")
    net.add("Pooling", "pool5", "res", pool=AVE, global_pooling=True)
    net.dense("fc", "pool5", 8, 5)
    net.add("Softmax", "prob", "fc")
    return net.layers


def normalised(net: Maker, blob: str, channels: int) -> None:
    """BatchNorm and Scale in place; the statistics are stored times a factor, as Caffe keeps them."""
    factor = np.array([37.5], np.float32)
    layer = net.add("BatchNorm", f"bn_{blob}", blob, blob, use_global_stats=True)
    layer.blobs = [
        net.random(channels) * factor,
        net.random(channels, low=0.2) * factor * 500,
        factor,
    ]
    layer = net.add("Scale", f"scale_{blob}", blob, blob, bias_term=True)
    layer.blobs = [net.random(channels, low=0.2) * 2, net.random(channels)]


def squeezenet() -> list[Layer]:
    """A fire module, a convolution as classifier and a global average, as in SqueezeNet 1.1."""
    net = Maker(7)
    net.conv("conv1", "data", 3, 8, 3, stride=2)
    net.relu("conv1", "relu_conv1")
    net.pool("pool1", "conv1")
    net.conv("fire2/squeeze1x1", "pool1", 8, 3, 1)
    net.relu("fire2/squeeze1x1", "fire2/relu_squeeze1x1")
    net.conv("fire2/expand1x1", "fire2/squeeze1x1", 3, 5, 1)
    net.relu("fire2/expand1x1", "fire2/relu_expand1x1")
    net.conv("fire2/expand3x3", "fire2/squeeze1x1", 3, 5, 3, pad=1)
    net.relu("fire2/expand3x3", "fire2/relu_expand3x3")
    net.add("Concat", "fire2/concat", ["fire2/expand1x1", "fire2/expand3x3"])
    net.add("Dropout", "drop9", "fire2/concat", "fire2/concat", dropout_ratio=0.5)
    sides: dict[str, Any] = {"kernel_h": 2, "kernel_w": 1, "pad_h": 1, "pad_w": 0}
    layer = net.add("Convolution", "conv10", "fire2/concat", num_output=6, **sides)
    layer.blobs = [net.random(6, 10, 2, 1), net.random(6)]
    net.relu("conv10", "relu_conv10")
    net.add("Pooling", "pool10", "conv10", pool=Word("AVE"), global_pooling=True)
    net.add("Softmax", "prob", "pool10")
    return net.layers
