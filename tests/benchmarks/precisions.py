"""What a precision costs: ``python -m tests.benchmarks.precisions SET... --network NAME --precision bf16``.

Every set (a folder of folders) is extracted in single precision and in the other one, as `extract` does it.
Said are the cosines between the two rows of an image, and the accuracy of both heads on the same test images
of the same splits. A CPU that does not multiply bfloat16 lets OpenVINO emulate it: the numbers are rounded
where they would be, slowly, so that accuracy can be measured there and speed cannot.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from fc7.classify.classifier.classifier import Head
from fc7.classify.quantise.accuracy import accuracy_change
from fc7.extract.cache.reader import FeatureSet, load_features
from fc7.extract.engine import session as sessions
from fc7.extract.engine.engine import this_machine
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.quantise.search import cosines
from fc7.models.common.progress import Silent

_HEADS: tuple[Head, ...] = ("svm", "softmax")


def rows_of(folder: Path, out: Path, options: ExtractOptions) -> FeatureSet:
    """Extract a set, and say on which engine."""
    summary = extract_features([folder], out, options)
    print(f"  {summary.engine}", flush=True)
    return load_features(out)


def main() -> None:
    """Each set in turn."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.precisions")
    parser.add_argument("folders", nargs="+", type=Path, help="sets, each a folder of folders")
    parser.add_argument("--network", default="alexnet", help="a network of the store")
    parser.add_argument("--precision", choices=("bf16", "fp16"), default="bf16")
    parser.add_argument("--splits", type=int, default=30)
    chosen = parser.parse_args()
    machine = this_machine()
    if chosen.precision == "bf16" and not machine.bf16:
        print("this CPU does not multiply bfloat16: emulated")
        machine = replace(machine, bf16=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        patch.object(sessions, "this_machine", lambda *_: machine),
    ):
        for folder in chosen.folders:
            print(f"{folder.name}, {chosen.network}:", flush=True)
            single, other = (
                rows_of(
                    folder,
                    Path(temporary) / f"{folder.name}-{precision}.h5",
                    ExtractOptions(network=chosen.network, precision=precision),
                )
                for precision in ("fp32", chosen.precision)
            )
            cosine = cosines(single.X, other.X)
            print(f"  cosine of {len(cosine)} images: mean {cosine.mean():.6f}, least {cosine.min():.6f}")
            for head in _HEADS:
                change = accuracy_change(single, other, head, Silent(), chosen.splits)
                print(
                    f"  {head}: {change.before:.2f} and {change.after:.2f} %, difference "
                    f"{change.change:+.2f} points (standard error {change.standard_error:.2f}, "
                    f"{change.splits} splits)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
