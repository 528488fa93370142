"""Imports between stages and between rooms run one way, and each heavy library has one door."""

from __future__ import annotations

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAGES = {"models": 0, "extract": 1, "classify": 2, "cli": 3}
SOURCES = sorted(p for room in ("models", "extract", "classify") for p in (ROOT / room).rglob("*.py"))
SOURCES.append(ROOT / "cli.py")

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
# What every command, or its help, loads: it must not pull in anything heavy.
LIGHT = [
    "cli.py",
    "models/common/command_table.py",
    "models/commands.py",
    "models/common/errors.py",
    "models/store/preprocess_flags.py",
    "models/outputs/kinds.py",
    "models/outputs/outputs.py",
    "models/outputs/places.py",
    "extract/commands/extract.py",
    "extract/commands/cache.py",
    "extract/commands/options.py",
    "extract/call_inputs.py",
    "extract/kinds.py",
    "extract/options.py",
    "extract/commands/bench.py",
    "classify/commands/options.py",
    "classify/commands/classify.py",
    "classify/kinds.py",
    "classify/commands/model_option.py",
    "classify/commands/export.py",
    "classify/commands/choose.py",
    "classify/commands/duplicates.py",
    "classify/commands/fit.py",
    "classify/commands/evaluate.py",
    "classify/commands/compare.py",
    "classify/commands/learning_curve.py",
    "classify/commands/imagenet.py",
    "classify/commands/report.py",
    "classify/commands/suspects.py",
    "classify/commands/similar.py",
    "classify/commands/watch.py",
    "classify/commands/next.py",
    "classify/commands/app.py",
    "classify/quantise/command.py",
]
HEAVY = {
    *("numpy", "ray", "h5py", "onnx", "onnxruntime", "openvino"),
    *("sklearn", "PIL", "rich", "matplotlib", "jinja2", "starlette", "uvicorn"),
}


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


@pytest.mark.parametrize("name", LIGHT)
def test_what_every_command_loads_is_light(name: str) -> None:
    heavy = {found.split(".")[0] for found in imports(ROOT / name, top_level_only=True)} & HEAVY
    assert not heavy


def test_the_walk_sees_an_import_inside_a_function(tmp_path: Path) -> None:
    module = tmp_path / "m.py"
    module.write_text("def f():\n    import h5py\n")
    assert imports(module) == {"h5py"}
    assert imports(module, top_level_only=True) == set()
