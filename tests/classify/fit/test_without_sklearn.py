"""A classifier that was fitted needs neither scikit-learn nor what comes with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

# Every import of the libraries fails, whoever asks and wherever.
BLOCKED = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("sklearn", "scipy", "joblib"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_block_blocks() -> None:
    assert "is blocked" in run("try:\n    import sklearn.svm\nexcept ImportError as exc:\n    print(exc)")


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "tests/data").glob("classifier-v*.onnx")))
def test_classifiers_of_every_format_version_load_and_answer(name: str) -> None:
    import numpy as np

    from fc7.classify.classifier.artifact import load_classifier

    path = Path("tests/data") / name
    here = load_classifier(ROOT / path)
    X = np.linspace(-1, 4, 2 * here.n_features).reshape(2, -1)
    code = f"""
import json, numpy as np
from fc7.classify import load_classifier
c = load_classifier({str(path)!r})
X = np.linspace(-1, 4, 2 * c.n_features).reshape(2, -1)
print(json.dumps([c.predict(X).tolist(), c.predict_proba(X).tolist(), c.novelty_score(X).tolist()]))
"""
    labels, probabilities, novelty = json.loads(run(code))
    assert labels == here.predict(X).tolist()
    assert probabilities == here.predict_proba(X).tolist()
    np.testing.assert_array_equal(novelty, here.novelty_score(X))


def test_the_public_names_come_without_but_for_the_estimator() -> None:
    run("""
import fc7
for name in set(fc7.__all__) - {"FeatureClassifier"}:
    getattr(fc7, name)
""")


@pytest.mark.parametrize(
    "module",
    [
        "fc7.classify.predict.predict",
        "fc7.classify.predict.evaluate",
        "fc7.classify.export.export",
        "fc7.classify.export.card",
    ],
)
def test_what_only_uses_a_classifier_imports_without(module: str) -> None:
    run(f"import {module}")
