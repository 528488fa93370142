"""The most memory that one extraction holds, in a process of its own: ``-m tests.benchmarks.peak``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import cast

from fc7.extract.engine.bench_process import peak_bytes
from fc7.extract.engine.providers import Device, Precision
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features

_ROOT = Path(__file__).resolve().parents[2]


def peak_megabytes(images: Path, network: str, device: Device, precision: Precision) -> float:
    """Resident memory at its highest while `images` become a features.h5, in MB; NaN if not known."""
    arguments = [str(images), network, device, precision]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.peak", *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(ran.stdout.splitlines()[-1])


def _main() -> None:
    images, network, device, precision = sys.argv[1:]
    options = ExtractOptions(
        network=network, device=cast(Device, device), precision=cast(Precision, precision)
    )
    with tempfile.TemporaryDirectory() as temporary:
        extract_features([images], Path(temporary) / "features.h5", options)
    print((peak_bytes() or float("nan")) / 1e6)


if __name__ == "__main__":
    _main()
