"""Imports between stages and between rooms run one way, and each heavy library has one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from fc7.cli import CACHE, COMMANDS, MODELS

ROOT = Path(__file__).resolve().parents[1]
STAGES = {"models": 0, "extract": 1, "classify": 2, "cli": 3}
SOURCES = sorted(p for room in ("models", "extract", "classify") for p in (ROOT / room).rglob("*.py"))
SOURCES.append(ROOT / "cli.py")
TABLES = COMMANDS | MODELS | CACHE

# Library -> the files, or rooms, that may import it. Nobody else does, not even inside a function.
# fsspec brings one library a store, aiohttp is the web's: their errors are translated at one place.
# ONNX graphs are what models/ is made of; PIL has one subject in three files for reading, one for drawing.
DOORS = {
    "PIL": (
        "extract/images/decode.py",
        "extract/images/flatten.py",
        "extract/images/orientation.py",
        "extract/drawn/drawing.py",
    ),
    "pillow_heif": ("extract/images/codecs/heif.py",),
    "imagecodecs": ("extract/images/codecs/codecs.py",),
    # The second reaches its quantiser alone, and runs nothing.
    "onnxruntime": ("extract/engine/engine.py", "extract/engine/quantiser.py"),
    "openvino": ("extract/engine/openvino_session.py",),
    "fsspec": ("extract/inputs/remote/store.py",),
    "aiohttp": ("extract/inputs/remote/store.py",),
    "h5py": (
        "extract/cache/format/hdf5.py",
        "extract/cache/format/hdf5_filters.py",
        "extract/inputs/arrays/hdf5_images.py",
    ),
    "pyarrow": ("extract/cache/parquet.py",),
    "onnx": ("models/", "classify/classifier/artifact.py"),
    "sklearn": ("classify/",),
    "skops": ("classify/export/skops_file.py",),
    # Its errors are told apart there: a worker that died, a call that raised, a cluster that is gone.
    "ray": ("extract/cluster/ray_backend.py",),
    "matplotlib": ("classify/report/canvas.py",),
    "jinja2": ("classify/report/page.py",),
    "watchfiles": ("classify/watch/watch.py",),
    "usearch": ("classify/similar/approximate.py",),
    "starlette": ("classify/app/web.py", "classify/app/answers.py"),
    "uvicorn": ("classify/app/serve.py",),
    "markupsafe": ("classify/report/page.py",),
}
# What takes its time to load. The help of all commands loads none of it.
HEAVY = {
    *("numpy", "ray", "h5py", "onnx", "onnxruntime", "openvino"),
    *("sklearn", "scipy", "PIL", "rich", "matplotlib", "jinja2", "starlette", "uvicorn", "pyarrow", "fsspec"),
}
# A command may load these with its module; the others when it is sure that it needs them.
OF_COMMANDS = {"numpy", "h5py", "onnx", "PIL"}


def imports(path: Path, *, top_level_only: bool = False, names: bool = False) -> set[str]:
    """Dotted names that a file imports; those under TYPE_CHECKING do not run and do not count.

    With `names` also what is taken out of a package, which may be a module.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if top_level_only and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.add(child.module)
                if names:
                    found.update(f"{child.module}.{alias.name}" for alias in child.names)
            walk(child)

    walk(tree)
    return found


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_arrow_runs_back(path: Path) -> None:
    own = STAGES[relative(path).split("/")[0].removesuffix(".py")]
    for name in imports(path):
        # By the one name that an installed copy has; the folders' own names are anybody's.
        assert name.split(".")[0] not in STAGES, f"{relative(path)} imports {name}"
        if name.startswith("fc7."):
            room = name.split(".")[1]
            assert room != "cli", f"{relative(path)} imports cli"
            assert STAGES[room] <= own, f"{relative(path)} imports {name}"


def room(path: Path) -> str:
    """A folder; what lies directly in a stage is a room of its own."""
    folder = path.parent.relative_to(ROOT).as_posix()
    return relative(path) if folder in (".", *STAGES) else folder


def test_no_circle_of_rooms() -> None:
    files = {"fc7." + relative(path)[:-3].replace("/", "."): path for path in SOURCES}
    arrows: dict[str, set[str]] = {room(path): set() for path in SOURCES}
    for path in SOURCES:
        for name in imports(path, names=True):
            if name in files and room(files[name]) != room(path):
                arrows[room(path)].add(room(files[name]))
    assert sum(map(len, arrows.values())) > 100
    # Raises with the circle, if there is one.
    assert len(tuple(TopologicalSorter(arrows).static_order())) == len(arrows)


def test_no_room_is_crowded() -> None:
    rooms = Counter(path.parent for path in SOURCES if path.name != "__init__.py")
    assert {relative(folder): n for folder, n in rooms.items() if n > 20} == {}


def test_one_name_means_one_class() -> None:
    named: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                named.setdefault(node.name, []).append(relative(path))
    assert {name: paths for name, paths in named.items() if len(paths) > 1} == {}


def test_every_room_says_what_it_is_for() -> None:
    for path in SOURCES:
        if path.name == "__init__.py":
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), relative(path)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_heavy_libraries_enter_by_their_door(path: Path) -> None:
    for name in imports(path):
        library = name.split(".")[0]
        if library in DOORS:
            assert relative(path).startswith(DOORS[library]), f"{relative(path)} imports {name}"


def loaded(*arguments: str) -> set[str]:
    """Every module that a call of Python loads."""
    call = [sys.executable, "-X", "importtime", *arguments]
    ran = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if "|" in line}


def test_the_help_of_all_loads_no_command_and_nothing_heavy() -> None:
    found = loaded("cli.py", "--help")
    assert "typer" in found
    assert found & HEAVY == set()
    assert found & {module for module, *_ in TABLES.values()} == set()


@pytest.mark.parametrize("module", sorted({module for module, *_ in TABLES.values()}))
def test_a_command_is_loaded_without_engines_and_solvers(module: str) -> None:
    code = f"import sys; sys.path.insert(0, '.package'); import {module}"
    found = loaded("-c", code)
    assert module in found
    assert found & (HEAVY - OF_COMMANDS) == set()


def test_the_walk_sees_an_import_inside_a_function(tmp_path: Path) -> None:
    module = tmp_path / "m.py"
    module.write_text("def f():\n    import h5py\n")
    assert imports(module) == {"h5py"}
    assert imports(module, top_level_only=True) == set()
