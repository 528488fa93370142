"""``python -m tests.benchmarks.demo_seeds``: the demo's accuracies, over ten seeds.

Each seed draws all shapes and the split anew. The network is the one the demo takes: set FC7_HOME to choose
the networks it finds.
"""

from __future__ import annotations

import argparse
import tempfile

import numpy as np

from fc7.classify.commands.demo import HEADS, run_demo


def main() -> None:
    """Print a line a seed, then means with their spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(parser.parse_args().seeds)
    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            found = run_demo(folder, seed, say=lambda note: None)
        accuracies = [found.metrics[head].accuracy for head in HEADS]
        rows.append([*accuracies, found.n_right / found.n_tiles])
        shown = ", ".join(f"{head} {accuracy:.1%}" for head, accuracy in zip(HEADS, accuracies, strict=True))
        print(
            f"{found.network.name}, seed {seed}: {shown}, {found.n_right} of {found.n_tiles} tiles",
            flush=True,
        )
    figures = np.array(rows)
    for name, column in zip((*HEADS, "tiles"), figures.T, strict=True):
        print(
            f"{name}: mean {column.mean():.1%}, standard deviation {column.std(ddof=1):.1%}, "
            f"least {column.min():.1%}, most {column.max():.1%}"
        )


if __name__ == "__main__":
    main()
