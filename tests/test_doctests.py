"""Every example in a docstring runs and gives what stands below it."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import shutil
from pathlib import Path

import onnx
import pytest

import fc7
from fc7.extract.drawn.shapes import make_shapes
from fc7.models.store.importing import ImportOptions
from fc7.models.store.importing import import_network as import_untried
from tests.support import ROOT

PACKAGE = ROOT / ".package" / "fc7"
# By way of the package's links: the path then gives the name that everybody imports the module by.
SOURCES = [
    PACKAGE / "__init__.py",
    PACKAGE / "cli.py",
    *(path for room in ("models", "extract", "classify") for path in sorted((PACKAGE / room).rglob("*.py"))),
]
EXAMPLE = re.compile(r"^\s*>>> ", re.MULTILINE)
START = re.compile(r"Start at `([\w.]+)`")
# What the examples call ``tiles``: a picture of 32x32 pixels as 8x8 tiles of their mean colours.
TILES = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[n, 3, 32, 32] x) => (float[n, 3, 8, 8] tiles) {
    tiles = AveragePool<kernel_shape = [4, 4], strides = [4, 4]>(x)
}
"""


def with_examples() -> dict[str, int]:
    """Dotted name of a module -> examples in its text."""
    counts = {}
    for path in SOURCES:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        counts[name] = len(EXAMPLE.findall(path.read_text(encoding="utf-8")))
    return {name: count for name, count in counts.items() if count}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples find: drawn images, a network and its file, a feature cache, a classifier."""
    folder = tmp_path_factory.mktemp("made")
    onnx.save(onnx.parser.parse_model(TILES), str(folder / "tiles.onnx"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FC7_HOME", "store")
        make_shapes("drawn", 8)
        fc7.import_network("tiles.onnx", "tiles", ImportOptions(preprocess="torch", layer="tiles"))
        fc7.extract_features(["drawn"], "features.h5", fc7.ExtractOptions(network="tiles"))
        fc7.fit_cache("features.h5", "classifier.onnx", fc7.FitOptions(head="svm", C=1.0))
    return folder


@pytest.mark.parametrize(("name", "examples"), with_examples().items(), ids=with_examples())
def test_examples(
    name: str, examples: int, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(here)
    monkeypatch.setenv("FC7_HOME", str(here / "store"))
    done = doctest.testmod(importlib.import_module(name), verbose=False, optionflags=doctest.ELLIPSIS)
    # Less than all where one stands in a text that is no docstring of the module's.
    assert done.attempted == examples
    assert done.failed == 0


@pytest.mark.parametrize("name", fc7.__all__)
def test_what_fc7_offers_has_an_example(name: str) -> None:
    # A text under the heading, not a line that happens to look like one.
    told = inspect.getdoc(getattr(fc7, name)) or ""
    assert EXAMPLE.search(told.partition("\nExamples\n--------\n")[2])


def test_help_shows_the_whole_call_of_import_network() -> None:
    ours, stores = (inspect.signature(each).parameters for each in (fc7.import_network, import_untried))
    assert inspect.isfunction(fc7.import_network)
    assert [*ours, "trial"] == [*stores]
    assert all(ours[name] == stores[name] for name in ours)


def test_where_a_reader_is_told_to_start_there_is_an_example() -> None:
    modules = with_examples()
    starts = [start for path in SOURCES for start in START.findall(path.read_text(encoding="utf-8"))]
    assert len(starts) > 10
    # A function or a module.
    without = [s for s in starts if not {f"fc7.{s}", f"fc7.{s}".rpartition(".")[0]} & modules.keys()]
    assert without == []
