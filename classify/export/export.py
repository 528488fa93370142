"""full.onnx: images in, labels and probabilities out, one file that needs nothing of fc7.

::

    images (n, height, width, 3) uint8, RGB, of the network's input size
        │  arithmetic of the preprocessing, network, layer, pooling    (models.graph.prepare, .fusion)
        │  mean over ten crops, if the classifier was fitted on ten
        ▼
    normalisation, head, calibration, threshold                           (classifier.onnx's own graph)
        ├──▶ label (n,) int64                an index into the metadata's ``classes``
        ├──▶ probabilities (n, n_classes) float32
        ├──▶ rejected (n,) bool              by the classifier's threshold; all false without one
        ├──▶ novelty (n,) float32            if the classifier learned it; above 1: unlike the training
        └──▶ name (n,) string                on request; engines other than ONNX Runtime often have no texts

Decoding, resizing and cropping stay outside. ONNX has a Resize that antialiases, but in real numbers with
one rounding at the end; the features were learned behind Pillow's, which rounds to 8 bits after each of its
two passes with weights of its own. A graph cannot state that, so the metadata does (``before``), and
`classify.export.example` writes it as a script.

The file is written under another name first, opened as a stranger would, and its predictions are compared
with those of `fc7 classify` on the CPU in fp32. Only then does it get its name.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fc7.classify.classifier.artifact import to_bytes
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.export.check import TOLERANCE, compare, our_predictions, predictions_of_file
from fc7.classify.export.check_images import DRAWN, CheckInputs, check_images
from fc7.classify.export.example import before_the_network, example_script
from fc7.classify.kinds import FULL, FULL_ARRAYS, FULL_FORMAT
from fc7.classify.predict.networks import find_network
from fc7.classify.predict.recovery import recover_from_crash
from fc7.extract.call_inputs import guard_for
from fc7.extract.patience import loaded
from fc7.models.common.durable import explained, flush, room_beside
from fc7.models.common.errors import ClassifierError
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.common.terminal import counted
from fc7.models.graph.fusion import fuse, write_model
from fc7.models.graph.prepare import prepared, runnable
from fc7.models.network.spec import NetworkSpec, PreprocessSpec
from fc7.models.outputs.outputs import Destination, Output

if TYPE_CHECKING:
    from onnx import ModelProto

FORMAT_VERSION = 1
_OUTPUTS = ("label", "probabilities", "rejected")


@dataclass(frozen=True, slots=True)
class Exported:
    """What `export_full` wrote.

    Attributes
    ----------
    files : tuple of Path
        The graph, and beside it the file of its arrays where these have 2 GiB or more.
    size : int
        Bytes of all of them.
    input_shape : tuple of int or str
        Batch (a number, or a name where any will do), height, width, 3.
    images : int
        On so many images its predictions were compared with ours.
    source : str
        Where these are from.
    difference : float
        Largest difference of a probability.
    """

    files: tuple[Path, ...]
    size: int
    opset: int
    input_shape: tuple[int | str, ...]
    outputs: tuple[str, ...]
    images: int
    source: str
    difference: float

    def describe(self) -> str:
        """What was written and how it was tried, in three lines."""
        shape = ", ".join(map(str, self.input_shape))
        return (
            f"images uint8 ({shape}) RGB -> {', '.join(self.outputs)}; opset {self.opset}\n"
            f"tried on {counted(self.images, 'image')} of {self.source}: probabilities differ from those of "
            f"classify by at most {self.difference:.1e}\n"
            f"wrote {' and '.join(map(str, self.files))}, {self.size / 1e6:.1f} MB"
        )

    def to_json(self) -> dict[str, object]:
        """The same for a program."""
        return dataclasses.asdict(self) | {"files": [str(file) for file in self.files]}


def export_full(
    classifier: Classifier,
    out: Destination = "full.onnx",
    inputs: CheckInputs = DRAWN,
    *,
    names: bool = False,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> Exported:
    """Write the network and the classifier as one file, if it predicts as they do.

    Parameters
    ----------
    classifier : Classifier
        Fitted on features of a network in the store.
    out : str, Path or Output
        A full.onnx that stands there is replaced.
    inputs : CheckInputs
        What to try it on; see `classify.export.check_images.check_images` for what is taken without any.
    names : bool
        Add the output ``name``: the label as a text.
    notify : callable
        Is given one-line notes.

    Raises
    ------
    UsageError
        If something else stands at `out`, or nothing can be written there.
    MismatchError
        If the network is not in the store.
    ClassifierError
        If the file predicts otherwise than we do, or cannot be written; nothing is written then.
    WeightsError
        If network and head cannot be one graph.
    HungError
        If the network, or the file that was written, is not loaded in time; nothing is written then.
    """
    from fc7.extract.engine.engine import open_file

    out = guard_for(inputs.images, cache=inputs.features, again=True).claim(out, FULL)
    arrays, progress = out.beside(".data", FULL_ARRAYS), progress or Silent()
    target = out.place.target
    stored, spec, layer = find_network(classifier.identity, progress, notify)
    if not spec.trained:
        notify(f"{spec.name} has random weights: good enough to try the tool, not to classify your images")
    sample = check_images(inputs, classifier, notify)
    with explained(out.path, out.option, ClassifierError), room_beside(target) as room:
        written = write_model(
            loaded(lambda: _fused(classifier, stored.graph_path, spec, layer=layer, names=names)),
            room / target.name,
            _properties(classifier, stored.spec.licence, spec.preprocess),
        )
        with recover_from_crash(sample.listing, out, notify) as (listing, care):
            sample = dataclasses.replace(sample, listing=listing)
            ours = our_predictions(classifier, sample, care, progress=progress, notify=notify)
            engine = loaded(lambda: open_file(room / target.name), str(out.path))
            theirs = predictions_of_file(engine, written, listing, ours=ours, spec=spec.preprocess, care=care)
        difference = compare(ours, theirs, classifier, out=out.path)
        flush(room)
        files = _into_place(written.files, out, arrays)
    return Exported(
        files,
        size=sum(file.stat().st_size for file in files),
        opset=written.opset,
        input_shape=written.input_shape,
        outputs=written.outputs,
        images=len(ours.paths),
        source=sample.source,
        difference=difference,
    )


def _fused(
    classifier: Classifier, graph_path: Path, spec: NetworkSpec, layer: str, *, names: bool
) -> ModelProto:
    return fuse(
        prepared(graph_path, spec, [layer]),
        graph_path.parent,
        to_bytes(classifier),
        outputs=_OUTPUTS if classifier.novelty is None else (*_OUTPUTS, "novelty"),
        crops=spec.preprocess.crops,
        names=classifier.classes_ if names else (),
    )


def example_of(classifier: Classifier, file: str | Path) -> str:
    """The script that uses a classifier's full.onnx at `file`; see `classify.export.example`.

    Raises
    ------
    MismatchError
        If the network, which says how many images it takes at once, is not in the store.
    UsageError
        If Pillow cannot do the classifier's resize.
    """
    stored, spec, layer = find_network(classifier.identity, Silent())
    batch = runnable(stored.graph_path, spec, [layer]).batch
    return example_script(spec.preprocess, str(file), batch)


def _properties(classifier: Classifier, licence: str, preprocess: PreprocessSpec) -> dict[str, str]:
    """What a stranger must know to use the file, and how it came to be."""
    identity = classifier.identity
    return {
        "format": FULL_FORMAT,
        "format_version": str(FORMAT_VERSION),
        "classes": json.dumps(classifier.classes_),
        "before": json.dumps(before_the_network(preprocess)),
        "crops": str(preprocess.crops),
        "preprocessing": preprocess.to_json(),
        "reject_below": repr(classifier.reject_below),
        "rejected_label": classifier.rejection_label,
        "network": identity.network,
        "layer": identity.layer,
        "pool": identity.pool,
        "fingerprint": identity.fingerprint,
        "trained": json.dumps(identity.trained),
        "licence": licence,
        "head": classifier.head,
        "C": repr(float(classifier.C)),
        "normalize": classifier.normalizer.kind,
        "made": json.dumps(dict(classifier.metadata), sort_keys=True),
        "checked": f"probabilities within {TOLERANCE:g} of fc7 classify on the CPU in fp32",
    }


def _into_place(written: Sequence[Path], out: Output, arrays: Output) -> tuple[Path, ...]:
    outputs = (out, arrays)[: len(written)]
    old, old_arrays = out.check(), arrays.place.target
    # Of another program, they were refused before the work; with --force they go only if in the way.
    its_own = arrays.check() and arrays.kind.recognises(old_arrays)
    if its_own or (old and arrays in outputs):
        # An old graph must never read new arrays, and its own go with it.
        out.place.target.unlink()
        if its_own:
            old_arrays.unlink()
    for path, output in reversed(list(zip(written, outputs, strict=True))):
        output.put(path)
    return tuple(output.path for output in outputs)
