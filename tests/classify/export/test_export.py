"""full.onnx as a stranger uses it: without fc7, checked before it is written, never half written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from PIL import Image

from fc7.classify.classifier.artifact import load_classifier, to_bytes
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.export.check_images import CheckInputs
from fc7.classify.export.example import example_script
from fc7.classify.export.export import _into_place, example_of, export_full
from fc7.classify.fit.from_cache import fit_cache
from fc7.classify.fit.result import FitOptions
from fc7.classify.kinds import FULL, FULL_ARRAYS
from fc7.classify.predict.options import ClassifyOptions
from fc7.classify.predict.predict import classify_images
from fc7.extract.images.decode import prepare
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.records import ImageRef, Listing
from fc7.extract.worker.read_ahead import Care
from fc7.models.common.errors import ClassifierError, UsageError, WeightsError
from fc7.models.network.spec import caffe_preprocess, torch_preprocess
from fc7.models.outputs.outputs import claimed
from fc7.models.store.importing import ImportOptions, import_network
from fc7.models.store.preprocess_options import fit_crop
from tests.support import CommandLine, lines_of, onnx_that_says, read_json, tiny_network, write_pictures

# What the exported file and the script must do without.
WITHOUT_US = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("fc7", "cli", "sklearn", "onnx", "h5py"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
"""


def varied_pictures(folder: Path) -> Path:
    """Landscape, portrait, odd sizes, grey, a palette, one that lies on its side."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    for i, (height, width) in enumerate([(40, 70), (71, 43), (33, 33), (300, 41), (57, 260), (256, 300)]):
        coarse = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    picture = Image.open(folder / "0.png")
    picture.convert("L").save(folder / "grey.png")
    picture.quantize(16).save(folder / "palette.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder / "turned.jpg", exif=exif, quality=95)
    return folder


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A network, a cache and a classifier with a threshold that rejects some."""
    here = CommandLine(tmp_path_factory.mktemp("export")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=10)
    varied_pictures(here.folder / "varied")
    here.good("extract", "imgs", "--network", "tiny")
    here.good("fit", "--force", "--softmax", "-C", "0.1", "--reject-below", "0.5")
    return here


def answers_of(path: Path, pixels: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": pixels}), strict=True))


def run_script(script: str, folder: Path, pictures: list[str]) -> list[list[str]]:
    """The very script in an interpreter that cannot import us; its lines, split at tabs."""
    file = folder / "use.py"
    file.write_text(script, encoding="utf-8")
    code = WITHOUT_US + "import runpy; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(file), *pictures],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={"PYTHONIOENCODING": "utf-8", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_the_file_is_valid_states_what_it_is_and_carries_the_labels(cli: CommandLine) -> None:
    answer = read_json(cli.good("export", "--force", "-o", "full.onnx", "--json").out)
    assert answer["files"] == ["full.onnx"]
    assert answer["source"].startswith("imgs (features.h5)")
    assert (answer["images"], answer["input_shape"]) == (24, ["n", 32, 32, 3])
    assert answer["difference"] <= 1e-4
    path = cli.folder / "full.onnx"
    assert answer["size"] == path.stat().st_size
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", answer["opset"])]
    (images,) = model.graph.input
    assert (images.name, images.type.tensor_type.elem_type) == ("images", onnx.TensorProto.UINT8)
    meta = {entry.key: entry.value for entry in model.metadata_props}
    classifier = load_classifier(cli.folder / "classifier.onnx")
    assert json.loads(meta["classes"]) == list(classifier.classes_)
    assert float(meta["reject_below"]) == classifier.reject_below == 0.5
    assert meta["fingerprint"] == classifier.identity.fingerprint
    steps = json.loads(meta["before"])
    assert "Resize to 37 high and 37 wide" in steps[1]
    assert "Resampling.BILINEAR" in steps[1]
    assert "Cut 32 high and 32 wide from the centre" in steps[2]
    assert [file.name for file in cli.folder.glob(".full*")] == []


def test_it_answers_as_classify_does_on_images_it_was_not_tried_on(cli: CommandLine) -> None:
    cli.good("export", "--force", "-o", "full.onnx", "--images", "varied", "--label-names")
    cli.good("classify", "varied", "imgs", "-o", "p.csv", "--top-k", "3", "--device", "cpu", "--exact-decode")
    spec = fit_crop(caffe_preprocess(), (32, 32))
    lines = lines_of(cli.folder / "p.csv")
    pixels = np.concatenate([prepare((cli.folder / line["path"]).read_bytes(), spec) for line in lines])
    found = answers_of(cli.folder / "full.onnx", pixels)
    classes = load_classifier(cli.folder / "classifier.onnx").classes_
    assert set(found["rejected"]) == {True, False}
    for i, line in enumerate(lines):
        wanted = {line[f"label_{k}"]: float(line[f"score_{k}"]) for k in (1, 2, 3)}
        np.testing.assert_allclose(found["probabilities"][i], [wanted[c] for c in classes], atol=1e-5)
        assert line["label_1"] == classes[found["label"][i]] == found["name"][i]
        assert line["label"] == ("unknown" if found["rejected"][i] else line["label_1"])


@pytest.mark.parametrize("resize", ["warp", "short"])
def test_the_usual_script_has_twelve_lines(resize: str) -> None:
    script = example_script(caffe_preprocess() if resize == "warp" else torch_preprocess(), "full.onnx")
    # What stands where in a picture of any shape takes a few lines more.
    assert len(script.splitlines()) == (12 if resize == "warp" else 15)
    assert max(map(len, script.splitlines())) <= 110
    imported = [line for line in script.splitlines() if "import " in line]
    assert imported == [
        "import json, os, sys, numpy",
        "from PIL import Image, ImageOps",
        "import onnxruntime",
    ]


def test_without_images_it_is_tried_on_drawn_pictures_and_says_so(cli: CommandLine) -> None:
    ran = cli.good("export", "-o", "drawn.onnx", "--features", "no-such.h5")
    assert "tried on 24 images of drawn pictures" in ran.out


def test_whoever_reads_an_image_of_the_trial_says_so_before(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For both sides of the comparison: `fc7 classify` and the file."""
    watched: list[str] = []

    def watch(ref: ImageRef) -> AbstractContextManager[None]:
        watched.append(ref.path)
        return nullcontext()

    @contextmanager
    def recovering(listing: Listing, *_: object) -> Iterator[tuple[Listing, Care]]:
        yield listing, Care(watch)

    monkeypatch.setenv("FC7_HOME", str(cli.store))
    monkeypatch.setattr("fc7.classify.export.export.recover_from_crash", recovering)
    varied = cli.folder / "varied"
    export_full(
        load_classifier(cli.folder / "classifier.onnx"),
        cli.folder / "seen.onnx",
        CheckInputs(images=[varied]),
    )
    assert sorted(watched) == sorted(path.name for path in varied.iterdir() for _ in range(2))


def test_images_that_cannot_be_read_are_no_trial(cli: CommandLine) -> None:
    (cli.folder / "broken").mkdir()
    (cli.folder / "broken/a.png").write_bytes(b"broken")
    ran = cli("export", "-o", "broken.onnx", "--images", "broken")
    assert ran.code == 1
    assert "not tried on a.png: " in ran.err
    assert "--images" in ran.err
    assert not (cli.folder / "broken.onnx").exists()


@pytest.fixture
def here(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The same store and classifier in this process, and an older file in the way."""
    monkeypatch.setenv("FC7_HOME", str(cli.store))
    monkeypatch.chdir(cli.folder)
    onnx_that_says(tmp_path / "full.onnx", format="fc7-full")
    return tmp_path


def fitted_on(recipe: dict[str, object], network: str = "tiny") -> Classifier:
    """A classifier of the three colours that rejects some, on features of these preprocessing fields."""
    options = ExtractOptions(network=network, preprocess=recipe, device="cpu")
    extract_features(["imgs"], "r.h5", replace(options, force=True))
    return fit_cache("r.h5", "r.onnx", FitOptions(head="softmax", C=0.1, reject_below=0.5)).classifier


def script_and_classify_agree(classifier: Classifier, folder: Path) -> set[str]:
    """Export, run the printed script on every picture, compare with `classify`; gives the labels."""
    full = folder / "full.onnx"
    export_full(classifier, full, CheckInputs(images=["imgs"]))
    whole = ClassifyOptions(device="cpu", exact_decode=True)
    classify_images(["varied", "imgs"], classifier, folder / "p.csv", options=whole)
    lines = lines_of(folder / "p.csv")
    found = run_script(example_of(classifier, full), folder, [line["path"] for line in lines])
    assert [line[0] for line in found] == [line["path"] for line in lines]
    for (path, name, probability), line in zip(found, lines, strict=True):
        assert float(probability) == pytest.approx(float(line["score"]), abs=2e-5), path
        assert name == line["label"]
    return {line["label"] for line in lines}


@pytest.mark.parametrize("crops", [1, 10])
@pytest.mark.parametrize(
    ("resize", "height", "width"), [("warp", 44, 44), ("short", 43, 43), ("short", 37, 45), ("pad", 44, 44)]
)
def test_the_example_script_gives_the_answers_of_classify(
    resize: str, height: int, width: int, crops: int, here: Path
) -> None:
    recipe: dict[str, object] = {
        "resize": resize,
        "resize_height": height,
        "resize_width": width,
        "crops": crops,
    }
    labels = script_and_classify_agree(fitted_on(recipe), here)
    assert "unknown" in labels
    assert len(labels) > 2


def test_the_script_of_a_network_bound_to_a_batch(here: Path) -> None:
    """CumSum is not among the operators that are proved to keep rows apart, so the batch is not freed."""
    made = onnx.load(str(tiny_network(here / "bound.onnx")))
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    made.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 4
    made.graph.node[-1].output[0] = "before"
    made.graph.node.append(onnx.helper.make_node("CumSum", ["before", "axis"], ["embedding"]))
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1), "axis"))
    onnx.save(made, str(here / "bound.onnx"))
    import_network(
        here / "bound.onnx",
        "bound",
        ImportOptions(preprocess=caffe_preprocess(), layer="embedding", replace=True),
    )
    classifier = fitted_on({}, "bound")
    script_and_classify_agree(classifier, here)
    (images,) = onnx.load(str(here / "full.onnx")).graph.input
    assert images.type.tensor_type.shape.dim[0].dim_value == 4
    with pytest.raises(WeightsError, match="10 crops"):
        export_full(fitted_on({"crops": 10}, "bound"), here / "full.onnx", CheckInputs(images=["imgs"]))


def test_a_resize_that_pillow_cannot_do_is_not_pretended(here: Path) -> None:
    classifier = fitted_on({"antialias": False})
    export_full(classifier, here / "full.onnx", CheckInputs(images=["imgs"]))
    meta = {e.key: e.value for e in onnx.load(str(here / "full.onnx")).metadata_props}
    assert "without antialiasing" in json.loads(meta["before"])[1]
    with pytest.raises(UsageError, match="Pillow cannot"):
        example_of(classifier, "full.onnx")


def test_with_the_example_on_stdout_everything_else_is_on_stderr(cli: CommandLine) -> None:
    alone = cli.good("export", "--example")
    both = cli.good("export", "--force", "-o", "full.onnx", "--example")
    assert both.out == alone.out
    assert alone.out.startswith("import json, os, sys, numpy\n")
    assert "wrote full.onnx" in both.err


@pytest.mark.parametrize("fault", ["coefficient", "scale", "threshold", "label", "nan", "novelty"])
def test_a_file_that_would_answer_otherwise_is_not_written(
    fault: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fault alone, in the graph that is written; our own path keeps the right classifier."""
    classifier = load_classifier("classifier.onnx")
    wrong = classifier
    if fault == "coefficient":
        coef = classifier.coef_.copy()
        coef[0] += 1e-2
        wrong = replace(classifier, coef_=coef)
    elif fault == "scale":
        wrong = replace(classifier, scale=classifier.scale * 1.01)
    elif fault == "threshold":
        wrong = replace(classifier, reject_below=0.99)
    elif fault == "nan":
        wrong = replace(classifier, intercept_=np.full_like(classifier.intercept_, np.nan))
    elif fault == "novelty":
        assert classifier.novelty is not None
        wrong = replace(classifier, novelty=replace(classifier.novelty, limit=classifier.novelty.limit * 1.1))
    data, older = to_bytes(wrong), (here / "full.onnx").read_bytes()
    if fault == "label":
        model = onnx.load_model_from_string(data)
        next(node for node in model.graph.node if node.op_type == "ArgMax").op_type = "ArgMin"
        data = model.SerializeToString()
    monkeypatch.setattr("fc7.classify.export.export.to_bytes", lambda _: data)
    with pytest.raises(ClassifierError, match="not written, since it would not predict as fc7 classify does"):
        export_full(classifier, here / "full.onnx", CheckInputs(images=["imgs"]))
    assert (here / "full.onnx").read_bytes() == older
    assert [file.name for file in here.iterdir()] == ["full.onnx"]


def test_a_full_disk_leaves_the_older_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    older = (here / "full.onnx").read_bytes()
    monkeypatch.setattr("fc7.classify.export.export.flush", full)
    with pytest.raises(ClassifierError, match=r"cannot be written \(No space left on device\)"):
        export_full(load_classifier("classifier.onnx"), here / "full.onnx", CheckInputs(images=["imgs"]))
    assert [(file.name, file.read_bytes()) for file in here.iterdir()] == [("full.onnx", older)]


def test_arrays_of_two_gigabytes_lie_beside_the_graph(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fc7.models.graph.fusion._LARGEST_FILE", 1000)
    exported = export_full(
        load_classifier("classifier.onnx"), here / "full.onnx", CheckInputs(images=["imgs"])
    )
    assert [file.name for file in exported.files] == ["full.onnx", "full.onnx.data"]
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    apart = answers_of(here / "full.onnx", pixels)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    # Whole again: the very same numbers.
    whole = onnx.load(str(here / "full.onnx"))
    onnx.save(whole, str(here / "whole.onnx"))
    for name, value in answers_of(here / "whole.onnx", pixels).items():
        np.testing.assert_array_equal(value, apart[name])


def test_the_same_classifier_gives_the_same_bytes(here: Path) -> None:
    classifier = load_classifier("classifier.onnx")
    first, second = (
        export_full(classifier, here / name, CheckInputs(images=["imgs"])).files[0].read_bytes()
        for name in ("a", "b")
    )
    assert first == second


def test_a_smaller_export_takes_the_arrays_of_the_one_it_replaces_with_it(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    out, arrays = tmp_path / "full.onnx", tmp_path / "full.onnx.data"
    for small in (False, True):
        written = [room / "full.onnx"] if small else [room / "full.onnx", room / "full.onnx.data"]
        graph = onnx_that_says(written[0], format="fc7-full", arrays="" if small else arrays.name)
        for path in written[1:]:
            path.write_bytes(b"arrays")
        output = claimed(out, FULL)
        targets = _into_place(written, output, output.beside(".data", FULL_ARRAYS))
        assert out.read_bytes() == graph
        assert arrays.exists() == (arrays in targets) == (not small)
