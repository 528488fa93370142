"""Parameters and multiplications of the catalogue's networks, counted from their published tables.

Each function gives (params, macs): numbers the network learns, and multiplications of its
convolutions and dense layers for one image.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Net:
    """A running count; `channels` and `size` are those of the map that comes next."""

    size: int
    channels: int = 3
    params: int = 0
    macs: int = 0
    batch_norm: bool = False
    bias: bool = field(default=True)

    def conv(self, out: int, kernel: int = 1, stride: int = 1, pad: int = -1, group: int = 1) -> Net:
        """`pad` -1 keeps the size at stride 1."""
        pad = kernel // 2 if pad < 0 else pad
        self.size = (self.size + 2 * pad - kernel) // stride + 1
        weights = out * self.channels // group * kernel * kernel
        self.params += weights + (out if self.bias else 0) + (2 * out if self.batch_norm else 0)
        self.macs += weights * self.size**2
        self.channels = out
        return self

    def pool(self, kernel: int = 3, stride: int = 2, ceil: bool = False) -> Net:
        """No padding."""
        rest = self.size - kernel
        self.size = (-(-rest // stride) if ceil else rest // stride) + 1
        return self

    def dense(self, out: int) -> Net:
        """Of the whole map."""
        inputs = self.channels * self.size**2
        self.params += inputs * out + out
        self.macs += inputs * out
        self.channels, self.size = out, 1
        return self

    def branch(self, channels: int | None = None) -> Net:
        """A count that begins at this map."""
        return Net(self.size, channels or self.channels, batch_norm=self.batch_norm, bias=self.bias)

    def join(self, *branches: Net) -> Net:
        """Concatenate."""
        self.channels, self.size = sum(b.channels for b in branches), branches[-1].size
        return self.count(*branches)

    def count(self, *branches: Net) -> Net:
        """Add what they cost."""
        self.params += sum(b.params for b in branches)
        self.macs += sum(b.macs for b in branches)
        return self

    @property
    def total(self) -> tuple[int, int]:
        return self.params, self.macs


def alexnet(conv1_pad: int = 0) -> tuple[int, int]:
    """BVLC/caffe models/bvlc_alexnet; CaffeNet differs where nothing is multiplied."""
    net = Net(227).conv(96, 11, 4, conv1_pad).pool().conv(256, 5, group=2).pool()
    net.conv(384, 3).conv(384, 3, group=2).conv(256, 3, group=2).pool()
    return net.dense(4096).dense(4096).dense(1000).total


def alexnet_owt() -> tuple[int, int]:
    """torchvision/models/alexnet.py."""
    net = Net(224).conv(64, 11, 4, 2).pool().conv(192, 5).pool().conv(384, 3).conv(256, 3).conv(256, 3)
    return net.pool().dense(4096).dense(4096).dense(1000).total


def googlenet() -> tuple[int, int]:
    """Szegedy et al. 2014, table 1; pooling rounds up."""
    net = Net(224).conv(64, 7, 2).pool(ceil=True).conv(64).conv(192, 3).pool(ceil=True)
    table = (
        (64, 96, 128, 16, 32, 32),
        (128, 128, 192, 32, 96, 64),
        (),
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
        (),
        (256, 160, 320, 32, 128, 128),
        (384, 192, 384, 48, 128, 128),
    )
    for row in table:
        if not row:
            net.pool(ceil=True)
            continue
        one, reduce3, three, reduce5, five, pooled = row
        net.join(
            net.branch().conv(one),
            net.branch().conv(reduce3).conv(three, 3),
            net.branch().conv(reduce5).conv(five, 5),
            net.branch().conv(pooled),
        )
    net.size = 1
    return net.dense(1000).total


def vgg(*convolutions: int) -> tuple[int, int]:
    """Simonyan and Zisserman 2014, table 1: how many convolutions each of the five blocks has."""
    net = Net(224)
    for width, count in zip((64, 128, 256, 512, 512), convolutions, strict=True):
        for _ in range(count):
            net.conv(width, 3)
        net.pool(2)
    return net.dense(4096).dense(4096).dense(1000).total


def squeezenet(size: int) -> tuple[int, int]:
    """SqueezeNet_v1.1 deploy.prototxt; pooling rounds up."""
    net = Net(size).conv(64, 3, 2, 0).pool(ceil=True)
    for squeeze, expand, pooled in (
        (16, 64, False),
        (16, 64, True),
        (32, 128, False),
        (32, 128, True),
        (48, 192, False),
        (48, 192, False),
        (64, 256, False),
        (64, 256, False),
    ):
        net.conv(squeeze)
        net.join(net.branch().conv(expand), net.branch().conv(expand, 3))
        if pooled:
            net.pool(ceil=True)
    return net.conv(1000).total


def mobilenet_v2() -> tuple[int, int]:
    """Sandler et al. 2018, table 2."""
    net = Net(224, batch_norm=True, bias=False).conv(32, 3, 2)
    for expand, out, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for i in range(count):
            hidden = net.channels * expand
            if expand > 1:
                net.conv(hidden)
            net.conv(hidden, 3, stride if i == 0 else 1, group=hidden).conv(out)
    net.conv(1280).size = 1
    return net.dense(1000).total


def shufflenet_v2() -> tuple[int, int]:
    """Ma et al. 2018, table 5, width 1x."""
    net = Net(224, batch_norm=True, bias=False).conv(24, 3, 2)
    net.size = 56  # max pooling, 3x3 with stride 2 and padding 1
    for width, count in ((116, 4), (232, 8), (464, 4)):
        half = width // 2
        left = net.branch().conv(net.channels, 3, 2, group=net.channels).conv(half)
        right = net.branch().conv(half).conv(half, 3, 2, group=half).conv(half)
        net.join(left, right)
        for _ in range(count - 1):
            net.count(net.branch(half).conv(half).conv(half, 3, group=half).conv(half))
    net.conv(1024).size = 1
    return net.dense(1000).total


def resnet18() -> tuple[int, int]:
    """He et al. 2015, table 1."""
    net = Net(224, batch_norm=True, bias=False).conv(64, 7, 2)
    net.size = 56
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            if stride == 2:
                net.count(net.branch().conv(width, 1, 2))
            net.conv(width, 3, stride).conv(width, 3)
    net.size = 1
    return net.dense(1000).total


def resnet50_mxnet() -> tuple[int, int]:
    """The same table; gluon/model_zoo/vision/resnet.py BottleneckV1 has biases in its two 1x1s."""
    net = Net(224, batch_norm=True, bias=False).conv(64, 7, 2)
    net.size = 56
    for stage, (width, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(count):
            stride = 2 if stage and not block else 1
            if not block:
                net.count(net.branch().conv(4 * width, 1, stride))
            net.bias = True
            net.conv(width, 1, stride)
            net.bias = False
            net.conv(width, 3)
            net.bias = True
            net.conv(4 * width)
            net.bias = False
    net.size = 1
    return net.dense(1000).total


def efficientnet_lite(size: int, widths: tuple[int, ...], blocks: tuple[int, ...]) -> tuple[int, int]:
    """tensorflow/tpu lite/efficientnet_lite_builder.py: kernel, stride and expansion of the seven stages.

    `widths` and `blocks` are the stages' after scaling. TensorFlow's 'SAME' gives the sizes that half a
    kernel of padding gives.
    """
    net = Net(size, batch_norm=True, bias=False).conv(32, 3, 2)
    table = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))
    for (kernel, stride, expand), width, count in zip(table, widths, blocks, strict=True):
        for i in range(count):
            hidden = net.channels * expand
            if expand > 1:
                net.conv(hidden)
            net.conv(hidden, kernel, stride if i == 0 else 1, group=hidden).conv(width)
    net.conv(1280).size = 1
    return net.dense(1000).total


def resnet50() -> tuple[int, int]:
    """He et al. 2015, table 1, with the stride in the 3x3: torchvision/models/resnet.py."""
    net = Net(224, batch_norm=True, bias=False).conv(64, 7, 2)
    net.size = 56
    for stage, (width, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(count):
            stride = 2 if stage and not block else 1
            if not block:
                net.count(net.branch().conv(4 * width, 1, stride))
            net.conv(width).conv(width, 3, stride).conv(4 * width)
    net.size = 1
    return net.dense(1000).total


def mobilenet_v3_large() -> tuple[int, int]:
    """Howard et al. 2019, table 1: kernel, expansion, channels, squeezed channels or 0, stride."""
    net = Net(224, batch_norm=True, bias=False).conv(16, 3, 2)
    for kernel, hidden, out, squeezed, stride in (
        *((3, 16, 16, 0, 1), (3, 64, 24, 0, 2), (3, 72, 24, 0, 1)),
        *((5, 72, 40, 24, 2), (5, 120, 40, 32, 1), (5, 120, 40, 32, 1)),
        *((3, 240, 80, 0, 2), (3, 200, 80, 0, 1), (3, 184, 80, 0, 1), (3, 184, 80, 0, 1)),
        *((3, 480, 112, 120, 1), (3, 672, 112, 168, 1)),
        *((5, 672, 160, 168, 2), (5, 960, 160, 240, 1), (5, 960, 160, 240, 1)),
    ):
        if hidden != net.channels:
            net.conv(hidden)
        net.conv(hidden, kernel, stride, group=hidden)
        if squeezed:
            net.count(Net(1, hidden).conv(squeezed).conv(hidden))
        net.conv(out)
    net.conv(960).size = 1
    return net.dense(1280).dense(1000).total


def convnext_tiny() -> tuple[int, int]:
    """Liu et al. 2022: blocks 3, 3, 9, 3; a LayerNorm has two numbers a channel, a block's scale one."""
    net = Net(224).conv(96, 4, 4, 0)
    net.params += 2 * 96
    for stage, (width, count) in enumerate(((96, 3), (192, 3), (384, 9), (768, 3))):
        if stage:
            net.params += 2 * net.channels
            net.conv(width, 2, 2, 0)
        for _ in range(count):
            net.conv(width, 7, group=width).conv(4 * width).conv(width)
            net.params += 3 * width
    net.size = 1
    net.params += 2 * net.channels
    return net.dense(1000).total


def _vit(width: int, tokens: int, patch: int) -> Net:
    """Dosovitskiy et al. 2020, table 1: patches are embedded, then twelve blocks, four times as wide inside.

    Multiplications of tokens with each other (attention's two products) are no dense layer's.
    """
    hidden = 4 * width
    dense = 4 * width * width + 2 * width * hidden
    net = Net(0, width)
    net.params = 3 * patch * patch * width + 12 * (dense + 5 * width + hidden + 4 * width)
    net.macs = 12 * dense * tokens
    return net


def dinov2_small() -> tuple[int, int]:
    """facebookresearch/dinov2, dinov2_vits14: positions of 37 x 37 patches, a mask token, layer scales."""
    net = _vit(384, 1 + 16 * 16, 14)
    net.params += 384 + 384 + 384 + (1 + 37 * 37) * 384 + 12 * 2 * 384 + 2 * 384
    net.macs += 16 * 16 * 3 * 14 * 14 * 384
    return net.total


def clip_vit_b32(size: int = 224, out: int = 0) -> tuple[int, int]:
    """openai/CLIP clip/model.py, VisionTransformer; `out` classes in place of the projection to 512."""
    patches = (size // 32) ** 2
    net = _vit(768, 1 + patches, 32)
    net.params += 768 + (1 + patches) * 768 + 2 * 2 * 768 + (768 * out + out if out else 768 * 512)
    net.macs += patches * 3 * 32 * 32 * 768 + 768 * (out or 512)
    return net.total


def siglip_base() -> tuple[int, int]:
    """google-research/big_vision models/vit.py, pool_type "map": one query attends to all patches."""
    net, patches, width, hidden = _vit(768, 14 * 14, 16), 14 * 14, 768, 4 * 768
    net.params += width + patches * width + 2 * width  # the patches' bias, positions, the last normalisation
    net.params += width + 4 * width * width + 4 * width + 2 * width + 2 * width * hidden + hidden + width
    net.macs += patches * 3 * 16 * 16 * width + (2 + 2 * patches) * width * width + 2 * width * hidden
    return net.total
