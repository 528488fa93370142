"""Whether the arrays of a classifier.onnx are those of a classifier: none missing, shapes, ranges."""

from __future__ import annotations

import numpy as np

from fc7.classify.classifier.artifact_graph import Arrays, arrays_of, fixed_arrays
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.votes import n_pairs


def check_arrays(classifier: Classifier, arrays: Arrays, version: int) -> None:
    """Refuse arrays that no classifier of ours has.

    Parameters
    ----------
    classifier : Classifier
        Made of them.
    arrays : dict of str to ndarray
        All initializers of the file.
    version : int
        Of the format.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    if classifier.coef_.ndim != 2:
        raise ValueError(f"coef has {classifier.coef_.ndim} dimensions")
    K, d, one_vs_one = len(classifier.classes_), classifier.n_features, classifier.head == "svm-ovo"
    n_rows = n_pairs(K) if one_vs_one else K
    if len(classifier.coef_) != n_rows:
        raise ValueError(f"coef has shape {classifier.coef_.shape}, not {(n_rows, d)}")
    fixed = fixed_arrays(K, one_vs_one=one_vs_one)
    shapes: dict[str, tuple[int, ...]] = {
        "coef": (n_rows, d),
        "intercept": (n_rows,),
        "mean": (d,),
        "std": (d,),
        "novelty_mean": (d,),
        "novelty_axes": (len(arrays.get("novelty_axes", ())), d),
        **{name: array.shape for name, array in fixed.items()},
    }
    for name, array in arrays.items():
        if array.shape != shapes.get(name, ()):
            raise ValueError(f"{name} has shape {array.shape}, not {shapes.get(name, ())}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinite numbers")
    expected = arrays_of(classifier, version)
    if set(arrays) != set(expected):
        raise ValueError(f"it holds {', '.join(arrays)}")
    for name in arrays.keys() & fixed.keys():
        if (arrays[name] != fixed[name]).any():
            raise ValueError(
                f"{name} is {' '.join(map(str, arrays[name].ravel()[:4]))}, as in no file of ours"
            )
    if not classifier.scale > 0 or not classifier.C > 0 or not (arrays.get("std", np.ones(1)) > 0).all():
        raise ValueError("scale, C or a deviation is not above 0")
    limit = 1.0 if classifier.novelty is None else classifier.novelty.limit
    if not 0 <= classifier.reject_below <= 1 or not limit > 0:
        raise ValueError("reject_below is not between 0 and 1, or novelty_limit is not above 0")
