"""The 61 million numbers of an AlexNet through every format, once."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fc7.models.network.architectures import ARCHITECTURES
from tests.support import ROOT
from tests.support.models import weights_files as wf
from tests.support.models.weights_onnx_files import Dialect, alexnet

BYTES = 60_965_224 * 4  # design section 4: the parameters of BVLC AlexNet

WRITERS: dict[str, Callable[[wf.Weights], bytes]] = {
    "zip .pth": lambda w: wf.torch_zip(wf.torchvision_names(w)),
    "legacy .pth": lambda w: wf.torch_legacy(wf.torchvision_names(w)),
    ".safetensors": wf.safetensors,
    ".npy": wf.npy_dict_by_numpy,
    ".onnx": lambda w: alexnet(w, Dialect()).SerializeToString(),
}


@pytest.fixture(scope="module")
def weights() -> wf.Weights:
    shapes = ARCHITECTURES["alexnet"].weight_shapes()
    return wf.random_weights(
        {key.removesuffix(".weight"): shape for key, shape in shapes.items() if key.endswith("weight")}
    )


@pytest.fixture(scope="module")
def digests(weights: wf.Weights) -> list[list[Any]]:
    return [
        [key, "<f4", list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
        for key, array in weights.items()
    ]


@pytest.fixture(params=WRITERS)
def path(request: pytest.FixtureRequest, tmp_path: Path, weights: wf.Weights) -> Iterator[Path]:
    """A file of 244 MB, removed as soon as it is not needed."""
    target = tmp_path / "weights"
    target.write_bytes(WRITERS[request.param](weights))
    yield target
    target.unlink()


# One process reads, so that its memory is the reader's alone. VmHWM and not getrusage: the latter's
# peak survives an exec, and would be the parent's.
READ = """
import hashlib, json, re, sys
from pathlib import Path
from fc7.models.weights.reading import read_weights
found = read_weights(Path(sys.argv[1]), "alexnet")
status = Path("/proc/self/status")
peak = re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text()) if status.exists() else None
print(json.dumps({
    "arch": found.arch,
    "arrays": [[k, a.dtype.str, a.shape, hashlib.sha256(a).hexdigest()] for k, a in found.arrays.items()],
    "peak": int(peak[1]) * 1024 if peak else 0,
}))
"""


@pytest.mark.slow
def test_a_whole_alexnet_is_bit_identical_and_takes_bounded_memory(
    path: Path, digests: list[list[Any]]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["arch"] == "alexnet"
    assert found["arrays"] == digests
    # Measured: 300 MB (.pth), 410 (.npy), 500 (.safetensors, half of it the mapping), 540 (.onnx).
    assert found["peak"] < 2.5 * BYTES + (100 << 20)
