"""A graph and its arrays are written where they belong, whatever lies in the current folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from fc7.models.graph.files import load_whole_graph, save_graph
from tests.support import CommandLine, tiny_network


def test_arrays_of_a_kilobyte_lie_apart_and_come_back(tmp_path: Path) -> None:
    file = tiny_network(tmp_path / "tiny.onnx")
    before = {a.name: numpy_helper.to_array(a) for a in onnx.load(str(file)).graph.initializer}
    save_graph(onnx.load(str(file)), tmp_path)
    apart = sum(array.nbytes for array in before.values() if array.nbytes >= 1024)
    assert (tmp_path / "network.weights").stat().st_size == apart > 0
    assert (tmp_path / "network.onnx").stat().st_size < 2000
    for array in load_whole_graph(tmp_path / "network.onnx").graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(array), before[array.name])


def test_a_file_of_the_same_name_in_the_current_folder_is_left_alone(tmp_path: Path) -> None:
    """onnx 1.23.2 looks for it there, and refused every import inside a network's own folder."""
    (tmp_path / "network.weights").write_bytes(b"the user's own")
    CommandLine(tmp_path).with_tiny_network()
    assert (tmp_path / "network.weights").read_bytes() == b"the user's own"
