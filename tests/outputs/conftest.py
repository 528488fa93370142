"""A place with all that commands read, and the command line in this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image

from fc7 import cli
from fc7.classify.fit.from_cache import fit_cache
from fc7.classify.fit.result import FitOptions
from fc7.extract.inputs.places.folders import FolderOrigin
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.models.common.errors import Fc7Error
from fc7.models.network.spec import caffe_preprocess
from fc7.models.store.importing import ImportOptions, import_network
from tests.classify.predict.test_imagenet import bring
from tests.outputs.cases import TORTURE, Run
from tests.support import coloured_picture, command, tiny_network, write_pictures


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    """The command line with all commands, in this process."""
    return cli.application()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Networks, pictures with their labels, caches and classifiers of them; and what may stand in the way."""
    here = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FC7_HOME", str(here / "store"))
        patch.chdir(here)
        file = tiny_network(here / "store.onnx")
        import_network(file, "tiny", ImportOptions(preprocess=caffe_preprocess(), layer="embedding"))
        bring(here)
        for path in here.glob("*.onnx"):
            path.unlink()
        images = sorted(write_pictures(here / "imgs", per_class=6).rglob("*.png"))
        lines = [f"{path.relative_to(here)},{path.parent.name}" for path in images]
        Path("labels.csv").write_text("\n".join(["path,label", *lines]))
        extract_features(["imgs"], "features.h5", ExtractOptions("tiny", device="cpu"))
        shutil.copy("features.h5", "other.h5")
        Path("flat").mkdir()
        for path in images[::3]:
            shutil.copy(path, Path("flat") / f"{path.parent.name}-{path.name}")
        extract_features(["flat"], "unlabelled.h5", ExtractOptions("tiny", device="cpu"))
        for name, C in (("classifier.onnx", 1.0), ("kept.onnx", 0.01)):
            fit_cache("features.h5", name, FitOptions(head="svm", C=C, duplicates="off"))
        standing = here / "standing"
        standing.mkdir()
        Image.fromarray(coloured_picture("red", 7)).save(standing / "photograph", "JPEG")
        shutil.copy("features.h5", standing / "cache")
        shutil.copy("classifier.onnx", standing / "classifier")
        (standing / "labels").write_text("path,label,group,split\nimgs/red/000.png,red,,train\n")
        (standing / "text").write_text("my notes\nof years\n")
        yield here


@pytest.fixture(autouse=True)
def there(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The place of the output, removed afterwards with all that was written."""
    if "place" not in request.fixturenames:
        yield Path()
        return
    here: Path = request.getfixturevalue("place")
    before = {path.name for path in here.iterdir()}
    yield here / "there"
    for path in here.iterdir():
        if path.name not in before:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.fixture(scope="module")
def run(app: typer.Typer) -> Run:
    """A call's exit code and error message."""
    fc7 = typer.main.get_command(app)

    def in_process(arguments: list[str]) -> tuple[int, str]:
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                code = fc7.main(arguments, "fc7", standalone_mode=False)
        except Fc7Error as exc:
            return exc.exit_code, str(exc)
        return int(code or 0), ""

    def as_process(arguments: list[str]) -> tuple[int, str]:
        ran = subprocess.run(command(arguments), capture_output=True, text=True, timeout=300, check=False)
        assert "Traceback" not in ran.stderr
        return ran.returncode, ran.stderr

    return as_process if TORTURE else in_process


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """No image is read."""

    def read(*_: object) -> bytes:
        raise AssertionError("an image was read")

    monkeypatch.setattr(FolderOrigin, "read", read)
