"""What ONNX Runtime has to say reaches the user once, in fc7's own message; in processes short of memory."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.support import ROOT, SIDE, CommandLine, read_json, write_pictures

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS and /proc/self/statm")

MB = 1 << 20
# The command line, whose memory ends so many bytes above what it has whenever an engine is opened, or run.
SHORT_OF_MEMORY = """
import resource, sys, threading
from fc7.extract.engine import engine as engines

threading.stack_size(1 << 18)

def limited(call, room):
    def limiting(*arguments, **options):
        taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + room, resource.RLIM_INFINITY))
        return call(*arguments, **options)
    return limiting

where, room = sys.argv.pop(1), int(sys.argv.pop(1))
if where == "open":
    engines.ort.InferenceSession = limited(engines.ort.InferenceSession, room)
else:
    engines.Engine.run = limited(engines.Engine.run, room)
from fc7.cli import main
main()
"""


def wide_network(path: Path) -> Path:
    """An ONNX file with 79 MB between its input and its ``embedding`` of 3.

    More than the 64 MiB that glibc has set aside for each thread (malloc/arena.c, HEAP_MAX_SIZE).
    """
    to = np.array([1, 3, 2560, 2560], np.int64)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
            helper.make_node("Expand", ["mean", "to"], ["wide"]),
            helper.make_node("Relu", ["wide"], ["on"]),
            helper.make_node("GlobalAveragePool", ["on"], ["embedding"]),
        ],
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 3, 1, 1])],
        [numpy_helper.from_array(to, "to")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("words"))
    file = wide_network(here.folder / "wide.onnx")
    here.good(
        *("models", "import", file, "--as", "wide", "--mean", "0", "--std", "1"), "--layer", "embedding"
    )
    write_pictures(here.folder / "imgs", per_class=1)
    return here


@pytest.mark.parametrize(("where", "room"), [("run", 20 * MB), ("run", 5 * MB), ("open", MB)])
def test_want_of_memory_is_told_once_and_in_our_words(
    cli: CommandLine, tmp_path: Path, where: str, room: int
) -> None:
    for attempt in range(6):
        arguments = ("extract", "imgs", "--network", "wide", "-o", tmp_path / f"{attempt}.h5")
        ran = subprocess.run(
            [sys.executable, "-c", SHORT_OF_MEMORY, where, str(room), *arguments],
            cwd=cli.folder,
            env=cli.environment({"PYTHONPATH": str(ROOT)}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        # ONNX Runtime 1.31 frees what it has not got in one of six such openings, and glibc ends the process.
        if (where, ran.returncode) != ("open", -signal.SIGABRT):
            break
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
    said = [line for line in ran.stderr.splitlines() if not line.startswith(("cpu: ", "out of memory: "))]
    assert len(said) == 1, ran.stderr
    assert re.match("error: (CPUExecutionProvider ran out of memory: |memory or threads ran out)", said[0])
    assert "end other programs" in said[0]


def test_an_operator_that_fails_is_told_once_and_in_our_words(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("Gather", ["flat", "far"], ["embedding"], axis=1),
        ],
        "far",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.array([0, 3 * SIDE * SIDE]), "far")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, str(tmp_path / "far.onnx"))
    told = ("--preprocess", "caffe", "--layer", "embedding")
    ran = CommandLine(tmp_path)("models", "import", "far.onnx", "--as", "far", *told)
    assert ran.code == 1
    assert "\x1b" not in ran.err
    assert [line.partition(": ")[0] for line in ran.err.splitlines()] == ["error"]
    assert "out of data bounds" in ran.err


def test_a_network_that_fails_in_the_middle_of_a_run_costs_nothing_that_was_done(tmp_path: Path) -> None:
    """It takes entry 0 of a table of one for pictures that are not bright, and entry 1 for a white one."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x"], ["embedding"], axes=[2, 3], keepdims=0),
            helper.make_node("ReduceMax", ["embedding"], ["brightest"], keepdims=0),
            helper.make_node("Div", ["brightest", "bright"], ["share"]),
            helper.make_node("Cast", ["share"], ["entry"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "entry"], ["one"]),
            helper.make_node("Mul", ["embedding", "one"], ["out"]),
        ],
        "bright",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 3])],
        [
            numpy_helper.from_array(np.array(250, np.float32), "bright"),
            numpy_helper.from_array(np.ones(1, np.float32), "table"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, str(tmp_path / "bright.onnx"))
    cli = CommandLine(tmp_path)
    cli.good(
        "models", "import", "bright.onnx", "--as", "bright", "--layer", "out", "--mean", "0", "--std", "1"
    )
    write_pictures(tmp_path / "imgs", 2)
    Image.new("RGB", (SIDE, SIDE), "white").save(tmp_path / "imgs/white.png")
    run = ("extract", "imgs", "--network", "bright", "-b", "1", "-j", "1")
    ran = cli(*run)
    assert ran.code == 1
    assert re.search(r"error: \S+ failed: .*; what was done is kept in features.h5", ran.err)
    (tmp_path / "imgs/white.png").unlink()
    assert read_json(cli.good(*run, "--json").out)["reused"] > 0
