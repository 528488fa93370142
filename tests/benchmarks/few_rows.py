"""``python -m tests.benchmarks.few_rows``: a fit on few rows, in a process of its own.

``--shapes 500x4096x10`` says rows, features and classes. Both ways are run in turn; medians of processor
seconds and of seconds by the clock, with scikit-learn and without, from the start of Python to the fitted
classifier. The heads of both are compared with LinearSVC's primal at a tolerance of 1e-10.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.svm import LinearSVC

from fc7.classify.classifier.normalizer import Normalizer
from tests.benchmarks.feature_rows import feature_rows

_FIT = """
import sys
import numpy as np
from fc7.classify.classifier import novelty
from fc7.classify.fit.fit import fit_classifier
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.solvers import few_rows
rows, out, with_library = sys.argv[1:]
if with_library == "1":
    few_rows._MOST_WORK = novelty._EXACT = 0
found = np.load(rows)
result = fit_classifier(found["X"], found["y"], options=FitOptions(head="svm", C=10.0, refit_all=True))
np.savez(out, coef=result.classifier.coef_)
"""


def main() -> None:
    """A line for each shape and way."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.few_rows")
    parser.add_argument("--shapes", nargs="+", default=["500x4096x10"], metavar="ROWSxFEATURESxCLASSES")
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, out = Path(folder, "rows.npz"), Path(folder, "head.npz")
        for shape in chosen.shapes:
            n, n_features, n_classes = map(int, shape.split("x"))
            X, y = feature_rows(n, n_features, n_classes, overlap=3.0)
            np.savez(rows, X=X, y=y)
            exact = LinearSVC(C=10.0, dual=False, tol=1e-10, max_iter=100_000)
            exact.fit(Normalizer("l2").apply(X).astype(np.float64), y)
            spent: dict[str, list[tuple[float, float]]] = {"0": [], "1": []}
            apart = dict.fromkeys(spent, 0.0)
            for _ in range(chosen.rounds):
                for way, seconds in spent.items():
                    seconds.append(_seconds(str(rows), str(out), way))
                    coef = np.load(out)["coef"]
                    apart[way] = float(np.abs(coef - exact.coef_).max() / np.abs(exact.coef_).max())
            for way, name in (("1", "scikit-learn"), ("0", "inner products")):
                cpu, clock = (statistics.median(each) for each in zip(*spent[way], strict=True))
                said = f"{cpu:.2f} s of CPU, {clock:.2f} s; apart from the optimum {apart[way]:.1e}"
                print(f"{shape}, {name}: {said}", flush=True)


def _seconds(*arguments: str) -> tuple[float, float]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", _FIT, *arguments], check=True, env=dict(os.environ))
    clock, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, clock


if __name__ == "__main__":
    main()
