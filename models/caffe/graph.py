"""A Caffe network, description and weights, as one ONNX graph.

`caffe2onnx` (2.0.1) asks for onnx 1.6.0, and cannot be installed beside the onnx that this needs. OpenCV 4
runs such networks without giving them out as ONNX, and takes 169 MB.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from onnx import ModelProto, TensorProto, helper, numpy_helper

from fc7.models.backbones.writer import INPUT, IR_VERSION, OPSET
from fc7.models.caffe.layers import LAYERS, check_dropout
from fc7.models.caffe.net import Net, NetLayer, net_of
from fc7.models.caffe.ops import Blob, Draft, Site
from fc7.models.caffe.prototxt import read_prototxt
from fc7.models.common.errors import WeightsError
from fc7.models.network.canonical import listed
from fc7.models.weights.caffe_model import CaffeBlob, CaffeLayer, read_caffemodel
from fc7.models.weights.sniffing import sniff

# Protobuf refuses messages of 2 GiB and more (protobuf.dev, "Proto Limits").
_PROTOBUF_LIMIT = 1 << 31


def build_caffe_graph(caffemodel: Path, prototxt: Path) -> ModelProto:
    """The network of a ``deploy.prototxt`` with the weights of a ``.caffemodel``.

    Parameters
    ----------
    caffemodel : Path
        Trained weights; matched by layer name, layers that the description lacks are left out.
    prototxt : Path
        The description, of the test phase where it says so.

    Returns
    -------
    onnx.ModelProto
        Input ``data`` (n, channels, height, width) float32, already preprocessed. Every blob is a
        tensor of its Caffe name, with the value it has in the end; what an in-place layer
        overwrites is ``NAME_pre``, and before that ``NAME_pre2``. (A blob called ``data`` that a layer
        makes is ``data_``.) The outputs are the blobs that no
        layer reads. Dropout is left out. An AlexNet or CaffeNet at its own 227x227 has the same
        digests as the graph of `models.backbones.alexnet.build_graph` with the same weights.

    Raises
    ------
    WeightsError
        If a file is damaged, description and weights do not fit, or a layer is of a type or has a
        setting that is not read; with the layer and its line.
    UnsafeFileError
        If a file would exhaust memory.
    """
    net = net_of(read_prototxt(prototxt))
    try:
        kind = sniff(caffemodel)
        if kind != "caffe":
            raise WeightsError(f"{caffemodel}: of the format {kind}; a prototxt goes with a .caffemodel")
        layers = read_caffemodel(caffemodel)
    except OSError as exc:
        raise WeightsError(
            f"{caffemodel}: cannot be read ({exc.strerror or exc}); give the path of a .caffemodel"
        ) from exc
    return _model(net, _Builder(net, layers, str(prototxt)), str(caffemodel))


class _Builder:
    """Goes through the layers in running order and keeps what each blob is by now."""

    def __init__(self, net: Net, layers: list[CaffeLayer], file: str) -> None:
        self.draft = Draft(taken={INPUT})
        self.tensors: dict[str, Blob] = {net.image: Blob(INPUT, net.shape)}
        self.read: set[str] = set()
        self._net, self._file = net, file
        self._learned = {layer.name: layer.blobs for layer in layers if layer.blobs}
        self._used: set[str] = set()
        self._names = _names(net, self.draft)
        for layer in net.layers:
            self._add(layer)

    def ends(self) -> list[Blob]:
        """The blobs that no layer reads."""
        found = [tensor for tensor in self.tensors.values() if tensor.name not in self.read | {INPUT}]
        if not found:
            raise WeightsError(f"{self._file}: no layer computes anything; a deploy.prototxt was needed")
        return found

    def _add(self, layer: NetLayer) -> None:
        inputs = tuple(self._input(layer, name) for name in layer.bottoms)
        if not _idle(layer):
            self.read |= {tensor.name for tensor in inputs}
        if layer.type == "Silence":
            return
        if layer.type not in LAYERS:
            raise layer.error(
                f"layers of this type are not read, {', '.join(LAYERS)} are; convert the network to ONNX and "
                "import that"
            )
        least, most, make = LAYERS[layer.type]
        if not least <= len(inputs) <= most or not layer.tops or len(set(layer.tops)) != len(layer.tops):
            raise layer.error(
                f"reads {len(inputs)} blobs and makes {listed(layer.tops)}; it can read {least} to {most}"
            )
        if _idle(layer):
            check_dropout(layer)
            return
        for top in layer.tops:
            if top in self.tensors and top not in layer.bottoms:
                raise layer.error(f"makes {listed([top])}, which another layer makes already")
        outputs = tuple(self._names[top].pop() for top in layer.tops)
        shapes = make(
            Site(
                layer,
                inputs=inputs,
                outputs=outputs,
                blobs=self._blobs(layer),
                batch=self._net.batch,
                draft=self.draft,
            )
        )
        if len(shapes) != len(layer.tops):
            raise layer.error(f"makes {len(layer.tops)} blobs ({listed(layer.tops)}), needed {len(shapes)}")
        for top, output, shape in zip(layer.tops, outputs, shapes, strict=True):
            self.tensors[top] = Blob(output, shape)

    def _input(self, layer: NetLayer, name: str) -> Blob:
        if name not in self.tensors:
            raise layer.error(f"reads {listed([name])}, which no layer before it makes")
        return self.tensors[name]

    def _blobs(self, layer: NetLayer) -> tuple[CaffeBlob, ...]:
        blobs = self._learned.get(layer.name, ())
        if blobs and layer.name in self._used:
            raise layer.error("is there twice with weights; the caffemodel finds its layers by name")
        self._used.add(layer.name)
        return blobs


def _idle(layer: NetLayer) -> bool:
    """Whether a layer leaves its blob as it is: Dropout in place."""
    return layer.type == "Dropout" and layer.in_place


def _names(net: Net, draft: Draft) -> dict[str, list[str]]:
    """For each blob the names of its values, the last one first."""
    versions = Counter(
        top for layer in net.layers if layer.type != "Silence" and not _idle(layer) for top in layer.tops
    )
    names = {blob: [draft.fresh(blob)] for blob in versions}
    for blob, count in versions.items():
        last = names[blob][0]
        names[blob] += [draft.fresh(f"{last}_pre{i if i > 1 else ''}") for i in range(1, count)]
    return names


def _model(net: Net, built: _Builder, file: str) -> ModelProto:
    constants = built.draft.constants
    n_bytes = sum(array.nbytes for array in constants.values())
    if n_bytes >= _PROTOBUF_LIMIT:
        raise WeightsError(f"{file}: its weights have {n_bytes} bytes; a graph of less than 2 GiB was needed")
    graph = helper.make_graph(
        [helper.make_node(op.kind, op.inputs, op.outputs, **op.attributes) for op in built.draft.ops],
        net.name or "caffe",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", *net.shape])],
        [
            helper.make_tensor_value_info(end.name, TensorProto.FLOAT, ["n", *end.shape])
            for end in built.ends()
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="fc7"
    )
