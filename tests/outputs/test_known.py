"""No output is forgotten: every path that a command takes is known, and only the guard writes to them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module

import typer

from fc7 import cli
from tests.outputs.cases import ADDED_TO, CASES, INPUTS, NEW_FOLDERS
from tests.test_imports import SOURCES, relative


def commands() -> Iterator[tuple[str, inspect.Signature]]:
    """Every command of the command line's tables, and what it takes."""
    for before, table in (("", cli.COMMANDS), ("models ", cli.MODELS), ("cache ", cli.CACHE)):
        for name, (module, function, _, _) in table.items():
            yield (
                f"{before}{name}",
                inspect.signature(getattr(import_module(module), function), eval_str=True),
            )


def paths_of(signature: inspect.Signature) -> Iterator[str]:
    """Options and arguments that are paths."""
    for name, parameter in signature.parameters.items():
        if parameter.annotation is typer.Context:
            continue
        kind, about = parameter.annotation.__origin__, parameter.annotation.__metadata__[0]
        if "Path" in str(kind):
            # In an annotation, Typer takes the place of a default for one more declaration.
            declared = [text for text in (about.default, *(about.param_decls or ())) if isinstance(text, str)]
            longest = max(declared, key=len, default=f"--{name.replace('_', '-')}")
            yield longest if isinstance(about, typer.models.OptionInfo) else name


def test_every_output_of_every_command_is_tried_above() -> None:
    found = {(name, path) for name, signature in commands() for path in paths_of(signature)}
    assert found >= INPUTS
    tried = {(" ".join(case.command), case.option) for case in CASES}
    assert found - INPUTS - NEW_FOLDERS - ADDED_TO == tried


def test_every_command_with_outputs_has_force() -> None:
    without = {name for name, signature in commands() if "force" not in signature.parameters}
    assert not without & {" ".join(case.command) for case in CASES}


# Who else writes: files that are no outputs (the store, a work folder), or an output's parts.
WRITERS = {
    "models/outputs/places.py",
    "models/common/durable.py",
    "extract/worker/decode_process.py",
    "models/store/integrity.py",
    "models/store/store.py",
    "models/store/download.py",
    "models/graph/fusion.py",
    "extract/cache/format/hdf5.py",
    "extract/cache/format/files.py",
    "extract/cache/format/target.py",
    # In a temporary folder, and in the network store.
    "extract/quantise/search.py",
    "extract/quantise/network.py",
    "extract/cache/format/lock.py",
    "extract/cache/npz.py",
    "extract/cluster/actor.py",
    "extract/cluster/handshake.py",
    "classify/predict/prediction_file.py",
    # At the end of a file, which is checked first.
    "classify/watch/appended.py",
    "extract/inputs/tables/corrections_history.py",
    "classify/app/rounds.py",
    # An output's part, left by a kill, gets its name.
    "classify/app/training.py",
    # Beside the feature cache, if nothing else stands there.
    "classify/similar/approximate.py",
    # Into a new folder.
    "classify/export/browser.py",
    # Into a folder, under names that are free.
    "classify/app/uploads.py",
    # Into a new folder, under names that are free.
    "classify/gallery/copies.py",
}


def writes(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        if called in ("write_bytes", "write_text", "rename", "copyfile", "link"):
            return True
        if called == "open" and any(isinstance(word, str) and set(word) & set("wxa+") for word in words):
            return True
        # A path's; that of a text takes two arguments, that of a record names its fields.
        if called == "replace" and len(node.args) == 1 and not node.keywords:
            return True
    return False


def test_nothing_else_writes_to_a_path() -> None:
    found = {relative(path) for path in SOURCES if writes(ast.parse(path.read_text(encoding="utf-8")))}
    assert found <= WRITERS
    assert "models/outputs/places.py" in found
