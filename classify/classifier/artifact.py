"""classifier.onnx: a fitted classifier in one small file that any ONNX runtime executes. Versions 2 and 3.

::

    features (N, n_features) float32
        │  Cast to float64: no runtime's order of adding shows in the result
        │  l2:        ReduceL2, Max(tiny), Div        standard:  Sub(mean), Div(std)        none: nothing
        ▼
    Gemm(coef, intercept) ──▶ Cast ──▶ scores (N, n_classes) float32
        ├──▶ ArgMax ──▶ label (N,) int64
        ▼
    Mul(scale), Softmax ──▶ Cast ──▶ probabilities (N, n_classes) float32
                                      └──▶ ReduceMax, Less(reject_below) ──▶ rejected (N,) bool

In version 3, which only one-vs-one has, the Gemm gives a margin for each pair of classes, and between it and
the first Cast the votes are counted (`classify.classifier.votes`, n_pairs = n_classes (n_classes - 1) / 2)

    Gemm ──▶ margins (N, n_pairs) float64
        ├──▶ Greater(0), Gather(pairs of each class), Mul(side), ReduceSum, Add ──▶ votes (N, n_classes)
        └──▶ Gather(pairs of each class), Mul(side), ReduceSum ──▶ s, and s / (3 (|s| + 1)) added to the votes

and, if the file holds what it needs (`classify.classifier.novelty`), from the features again

    Cast, l2, Sub(novelty_mean) ──▶ sqrt(|offset|² - |Gemm(novelty_axes)|²), Div(novelty_limit), Cast
        ├──▶ novelty (N,) float32: how unlike the training rows
        └──▶ Greater(1) ──▶ novel (N,) bool

The weights are float64, the mean and the axes float32. `rejected` never changes `label`: who uses the file
decides what to call a rejected row. Without a learned threshold reject_below is 0 and nothing is rejected.

Metadata: ``format``, ``format_version``, ``classes`` (JSON list; ``label`` is an index into it), ``network``,
``layer``, ``fingerprint``, ``preprocessing`` (JSON), ``trained`` and ``pool`` (which features it wants),
``head``, ``C``, ``normalize``, ``made`` (JSON: split, metrics, counts, versions), ``split`` (JSON: which
images trained and which tested, `classify.data.record`; absent in files made before it was kept) and
``checksum`` (of all that and the weights). There are no times in the file: the same rows and seed give the
same bytes.

To change the format: raise `FORMAT_VERSION`, keep the code that reads the older ones, and keep a file of each
version in ``tests/data`` with a test that loads it. A file gets the lowest version that can say what it says
(`_version`), so that an older fc7 reads all that it can. More keys in ``made`` need no new version. Version 1
had neither rejection nor novelty, version 2 has no one-vs-one.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from fc7.classify.classifier.artifact_checks import check_arrays
from fc7.classify.classifier.artifact_graph import Arrays, Node, arrays_of, nodes_of, outputs_of, type_of
from fc7.classify.classifier.classifier import HEADS, Head
from fc7.classify.classifier.classifier import Classifier as Classifier
from fc7.classify.classifier.normalizer import KINDS, Normalizer
from fc7.classify.classifier.novelty import NoveltyReference
from fc7.classify.data.identity import POOLS, FeatureIdentity
from fc7.classify.data.record import SplitRecord
from fc7.classify.kinds import CLASSIFIER, CLASSIFIER_FORMAT
from fc7.models.common.durable import explained
from fc7.models.common.errors import ClassifierError
from fc7.models.common.files import refuse_pipe
from fc7.models.common.unicode_forms import normal
from fc7.models.outputs.outputs import Destination, claimed

FORMAT_VERSION = 3
# Opset 13 is the first whose Softmax goes along one axis; IR 8 belongs to it. Runtimes since 2021 read them.
_OPSET, _IR = 13, 8
# 2000 classes of 65,536 features are 1 GB; protobuf ends at 2 GiB.
_LARGEST_FILE = 2**31


def save_classifier(classifier: Classifier, path: Destination) -> Path:
    """Write a classifier; the file appears under its name when it is complete.

    Parameters
    ----------
    path : str, Path or Output
        A classifier that stands there is replaced.

    Raises
    ------
    UsageError
        If something else stands there.
    ClassifierError
        If it cannot be written; what was there before is as it was.

    Examples
    --------
    >>> import fc7
    >>> y = ["left", "right"] * 20
    >>> X = np.random.default_rng(0).normal([[-2], [2]] * 20, 1, (40, 3))
    >>> result = fc7.fit_classifier(X, y, options=fc7.FitOptions(head="softmax", C=1.0))
    >>> fc7.save_classifier(result.classifier, "sides.onnx").name
    'sides.onnx'
    >>> fc7.load_classifier("sides.onnx").predict([[3, 3, 3]])
    array(['right'], dtype='<U5')
    """
    out = claimed(path, CLASSIFIER)
    with explained(out.path, out.option, ClassifierError):
        return out.write(to_bytes(classifier))


def to_bytes(classifier: Classifier) -> bytes:
    """What `save_classifier` writes: a serialised ONNX graph with its metadata."""
    data: bytes = _to_model(classifier).SerializeToString(deterministic=True)
    return data


def load_classifier(path: str | Path) -> Classifier:
    """Read a classifier and check every part of it.

    Returns
    -------
    Classifier
        Computes with NumPy what ONNX Runtime computes from the file.

    Raises
    ------
    ClassifierError
        If there is no such file, it is damaged, not one of ours, or of a newer format version.
    UsageError
        If it is a pipe, socket or device.

    Examples
    --------
    >>> import fc7
    >>> classifier = fc7.load_classifier("classifier.onnx")
    >>> classifier.classes_, classifier.identity.network, classifier.n_features
    (('circle', 'rectangle', 'star', 'triangle'), 'tiles', 192)
    """
    path = Path(path)
    refuse_pipe(path)
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ClassifierError(f"{path}: larger than any classifier of ours; it is something else")
        model = onnx.load_model_from_string(path.read_bytes())
    except FileNotFoundError as exc:
        raise ClassifierError(f"{path}: no such file; make one with fc7 fit -o {path}") from exc
    except OSError as exc:
        raise ClassifierError(f"{path}: cannot be read ({exc.strerror or exc})") from exc
    except DecodeError as exc:
        raise ClassifierError(f"{path}: damaged, or not an ONNX file; fit again, or give another -m") from exc
    meta = {entry.key: entry.value for entry in model.metadata_props}
    _check_format(path, meta)
    try:
        return _from_model(model, meta)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise ClassifierError(f"{path}: damaged ({exc}); fit again, or take another copy") from exc


def _check_format(path: Path, meta: dict[str, str]) -> None:
    if meta.get("format") != CLASSIFIER_FORMAT:
        raise ClassifierError(
            f"{path}: an ONNX file, but not a classifier of fc7 fit (its metadata names no format "
            f"{CLASSIFIER_FORMAT!r}); networks go through fc7 models import"
        )
    version = meta.get("format_version", "")
    if not re.fullmatch("[0-9]{1,9}", version):
        raise ClassifierError(f"{path}: damaged (format_version is {version!r}); fit again")
    if int(version) > FORMAT_VERSION:
        raise ClassifierError(
            f"{path}: of format version {version}; this fc7 reads up to {FORMAT_VERSION}: "
            "install a newer fc7, or fit again with this one"
        )


def _to_model(classifier: Classifier) -> onnx.ModelProto:
    version, novelty = _version(classifier.head), classifier.novelty is not None
    arrays = arrays_of(classifier, version)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node(op, inputs, outputs, **attributes)
            for op, inputs, outputs, attributes in nodes_of(
                classifier.normalizer.kind,
                version,
                novelty=novelty,
                one_vs_one=classifier.head == "svm-ovo",
            )
        ],
        "fc7-classifier",
        [value("features", TensorProto.FLOAT, ["N", classifier.n_features])],
        [value(*output) for output in outputs_of(len(classifier.classes_), novelty)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="fc7"
    )
    identity = classifier.identity
    meta = {
        "format": CLASSIFIER_FORMAT,
        "format_version": str(version),
        "classes": _json(list(classifier.classes_)),
        "network": identity.network,
        "layer": identity.layer,
        "fingerprint": identity.fingerprint,
        "preprocessing": identity.preprocess,
        "trained": _json(identity.trained),
        "pool": identity.pool,
        "head": classifier.head,
        "C": repr(float(classifier.C)),
        "normalize": classifier.normalizer.kind,
        "made": _json(dict(classifier.metadata)),
    }
    if classifier.split is not None:
        meta["split"] = _json(classifier.split.to_json())
    meta["checksum"] = _checksum(meta, arrays)
    helper.set_model_props(model, meta)
    return model


def _compared(classes: list[str]) -> tuple[str, ...]:
    """Class names in the form that labels have now; as they are where two of them would become one."""
    names = tuple(map(normal, classes))
    return names if len(set(names)) == len(names) else tuple(classes)


def _from_model(model: onnx.ModelProto, meta: dict[str, str]) -> Classifier:
    """The inverse of `_to_model`; whatever does not fit raises ValueError, KeyError or TypeError."""
    graph = model.graph
    arrays: Arrays = {}
    for tensor in graph.initializer:
        wanted = np.dtype(type_of(tensor.name))
        data_type = helper.np_dtype_to_tensor_dtype(wanted)
        if tensor.data_type != data_type or tensor.external_data or tensor.data_location:
            raise ValueError(f"{tensor.name!r} is not {wanted} kept in the file")
        if math.prod(tensor.dims) * wanted.itemsize != len(tensor.raw_data):
            raise ValueError(f"{tensor.name!r} has not as many numbers as it says")
        arrays[tensor.name] = numpy_helper.to_array(tensor)
    if meta["checksum"] != _checksum(meta, arrays):
        raise ValueError("weights or metadata are not those that were written")
    kind, head, pool = meta["normalize"], meta["head"], meta["pool"]
    if kind not in KINDS or head not in HEADS or pool not in POOLS:
        raise ValueError(f"normalize {kind!r}, head {head!r} or pool {pool!r} is unknown")
    classes, trained, made = (json.loads(meta[key]) for key in ("classes", "trained", "made"))
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("classes are not a list of texts")
    if len(set(classes)) < max(len(classes), 2):
        raise ValueError(f"{len(classes)} classes, {len(set(classes))} of them different")
    if not isinstance(trained, bool) or not isinstance(made, dict):
        raise ValueError("trained or made is not of its kind")
    normalizer = Normalizer(kind, arrays.get("mean"), arrays.get("std"))
    version = int(meta["format_version"])
    if head == "svm-ovo" and version < _version(head):
        raise ValueError(f"head {head!r} in format version {version}")
    novelty = None
    if version >= 2 and "novelty_mean" in arrays:
        novelty = NoveltyReference(
            arrays["novelty_mean"], arrays["novelty_axes"], float(arrays["novelty_limit"])
        )
    classifier = Classifier(
        classes_=_compared(classes),
        coef_=arrays["coef"],
        intercept_=arrays["intercept"],
        normalizer=normalizer,
        scale=float(arrays["scale"]),
        head=head,
        C=float(meta["C"]),
        identity=FeatureIdentity(
            meta["network"],
            layer=meta["layer"],
            fingerprint=meta["fingerprint"],
            preprocess=meta["preprocessing"],
            trained=trained,
            pool=pool,
        ),
        reject_below=float(arrays["reject_below"]) if version >= 2 else 0.0,
        novelty=novelty,
        metadata=made,
        split=SplitRecord.from_json(json.loads(meta["split"])) if "split" in meta else None,
    )
    check_arrays(classifier, arrays, version)
    opsets = [(opset.domain, opset.version) for opset in model.opset_import]
    nodes = nodes_of(kind, version, novelty=novelty is not None, one_vs_one=head == "svm-ovo")
    if opsets != [("", _OPSET)] or [_described(node) for node in graph.node] != nodes:
        raise ValueError("the graph is not the one we write")
    return classifier


def _version(head: Head) -> int:
    """The lowest format version that can hold such a head."""
    return 3 if head == "svm-ovo" else 2


def _described(node: onnx.NodeProto) -> Node:
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return node.op_type, list(node.input), list(node.output), attributes


def _checksum(meta: dict[str, str], arrays: Arrays) -> str:
    """SHA-256 of all metadata but this, and of all weights."""
    digest = hashlib.sha256(_json({k: v for k, v in meta.items() if k != "checksum"}).encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], np.dtype(type_of(name)).newbyteorder("<"), order="C")
        digest.update(f"\n{name} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
