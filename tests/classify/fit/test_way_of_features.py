"""The features of one `fit` pass through few files: a reader can follow them."""

from __future__ import annotations

import os
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from fc7.classify.fit.from_cache import fit_cache
from fc7.classify.fit.result import FitOptions
from fc7.extract.cache.reader import load_features
from tests.support import ROOT, CommandLine, write_pictures

_ROOMS = ("models", "extract", "classify")


def holds(value: object, shape: tuple[int, int], depth: int = 2) -> bool:
    """Whether a value is most rows of the features, or a record or tuple with them."""
    if isinstance(value, np.ndarray):
        return value.ndim == 2 and value.shape[1] == shape[1] and value.shape[0] >= 0.6 * shape[0]
    if depth and is_dataclass(value) and not isinstance(value, type):
        return any(holds(getattr(value, each.name, None), shape, depth - 1) for each in fields(value))
    return bool(depth) and isinstance(value, tuple) and any(holds(each, shape, depth - 1) for each in value)


def test_the_features_of_a_fit_pass_through_at_most_25_files(tmp_path: Path) -> None:
    here = CommandLine(tmp_path).with_tiny_network()
    write_pictures(tmp_path / "imgs", 12)
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    cache = tmp_path / "features.h5"
    shape = load_features(cache).X.shape
    passed: set[str] = set()

    def look(frame: FrameType, event: str, value: Any) -> None:
        file = os.path.relpath(os.path.realpath(frame.f_code.co_filename), ROOT)
        if file.startswith(_ROOMS):
            seen = [value] if event == "return" else list(frame.f_locals.values()) if event == "call" else []
            if any(holds(each, shape) for each in seen):
                passed.add(file)

    sys.setprofile(look)
    try:
        fit_cache(cache, tmp_path / "c.onnx", FitOptions())
    finally:
        sys.setprofile(None)
    assert {"extract/cache/reader.py", "classify/fit/from_cache.py", "classify/fit/flow.py"} <= passed
    assert len(passed) <= 25, sorted(passed)
