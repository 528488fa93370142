"""A tiny network, small image folders and the command line as a user drives it."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.support import forking

ROOT = Path(__file__).resolve().parents[2]
SIDE = 32
COLOURS = {"red": (200, 30, 30), "green": (30, 190, 40), "blue": (40, 40, 210)}


def tiny_network(path: Path, seed: int = 0) -> Path:
    """An ONNX file: 3x32x32 -> conv, relu, pool -> ``embedding`` (64) after a relu."""
    rng = np.random.default_rng(seed)
    arrays = {
        "w1": rng.normal(0, 0.2, (16, 3, 5, 5)),
        "b1": rng.normal(0, 0.1, 16),
        "w2": rng.normal(0, 0.1, (64, 16 * 4 * 4)),
        "b2": rng.normal(0, 0.1, 64),
    }
    graph = helper.make_graph(
        [
            helper.make_node(
                "Conv", ["x", "w1", "b1"], ["c"], kernel_shape=[5, 5], strides=[4, 4], pads=[2] * 4
            ),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("AveragePool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "w2", "b2"], ["g"], transB=1),
            helper.make_node("Relu", ["g"], ["embedding"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 64])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in arrays.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def onnx_that_says(path: Path, **says: str) -> bytes:
    """Write an ONNX file without a graph whose metadata says this; what it holds."""
    model = helper.make_model(helper.make_graph([], "g", [], []))
    helper.set_model_props(model, says)
    path.write_bytes(model.SerializeToString())
    return path.read_bytes()


def coloured_picture(colour: str, index: int, side: int = 40) -> NDArray[np.uint8]:
    """A noisy picture that is mostly one colour; the same for the same arguments."""
    rng = np.random.default_rng([index, *COLOURS[colour]])
    noise = rng.integers(-30, 30, (side, side, 3))
    picture: NDArray[np.uint8] = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
    return picture


def write_pictures(folder: Path, per_class: int = 8, *, start: int = 0) -> Path:
    """One folder a colour with PNG files of that colour."""
    for colour in COLOURS:
        (folder / colour).mkdir(parents=True, exist_ok=True)
        for i in range(start, start + per_class):
            Image.fromarray(coloured_picture(colour, i)).save(folder / colour / f"{i:03}.png")
    return folder


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


class CommandLine:
    """``python cli.py ...`` in a folder of its own with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "FC7_HOME": str(self.store), "PYTHONIOENCODING": "utf-8", **(extra or {})}

    def __call__(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Ran:
        if env is None and forking.USABLE and _server().user == os.geteuid():
            ran = Ran(*_server().run(list(map(str, arguments)), self.folder, self.environment(), 300))
            assert "Traceback" not in ran.err, ran.err
            return ran
        done = subprocess.run(
            command(arguments),
            cwd=self.folder,
            env=self.environment(env),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def good(self, *arguments: str | Path) -> Ran:
        """Run a command that must succeed."""
        ran = self(*arguments)
        assert ran.code == 0, ran.text
        return ran

    def incomplete(self, *arguments: str | Path) -> Ran:
        """Run a command that must do its work on some images, and say by its exit code that others failed."""
        ran = self(*arguments)
        assert ran.code == 1, ran.text
        return ran

    def with_tiny_network(self) -> CommandLine:
        """Import `tiny_network` as ``tiny``."""
        file = tiny_network(self.folder / "tiny.onnx")
        preset = ("--preprocess", "caffe", "--layer", "embedding")
        self.good("models", "import", file, "--as", "tiny", *preset)
        return self


@functools.cache
def _server() -> forking.ForkServer:
    return forking.ForkServer()


def command(arguments: Sequence[str | Path]) -> list[str]:
    """The argument list of a process that runs the command line."""
    return [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]


def lines_of(path: Path) -> list[dict[str, str]]:
    """A CSV file as dictionaries."""
    import csv

    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def read_json(text: str) -> Any:
    """Parse what a command printed with --json."""
    import json

    return json.loads(text)
