"""He-normal weights from a seed: an AlexNet to try the tool with when no trained one is at hand."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fc7.models.network.architectures import Architecture

_LEVELS = 1 << 16


def untrained_weights(arch: Architecture, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Canonical weights drawn from N(0, 2 / fan_in), biases zero.

    Returns
    -------
    dict of str to ndarray, float32
        Keys and shapes of `Architecture.weight_shapes`; the same bytes on every machine.

    Notes
    -----
    The deviation is He et al. (2015), "Delving deep into rectifiers", equation 10. NumPy promises
    the raw bits of a seeded PCG64 for ever but not its normal variates (NEP 19), so each 16 raw
    bits choose one of 65,536 quantiles of the normal distribution.
    """
    quantiles = _normal_quantiles()
    weights: dict[str, NDArray[np.float32]] = {}
    for index, (key, shape) in enumerate(arch.weight_shapes().items()):
        if key.endswith(".bias"):
            weights[key] = np.zeros(shape, np.float32)
            continue
        size = math.prod(shape)
        raw = np.random.PCG64(np.random.SeedSequence([seed, index])).random_raw((size + 3) // 4)
        choice = np.asarray(raw, "<u8").view("<u2")[:size]
        deviation = np.float32(math.sqrt(2 / math.prod(shape[1:])))
        weights[key] = (quantiles[choice] * deviation).reshape(shape)
    return weights


def _normal_quantiles() -> NDArray[np.float32]:
    """The normal value at the middle of each of 65,536 equally likely intervals."""
    normal = NormalDist()
    upper = [normal.inv_cdf((i + 0.5) / _LEVELS) for i in range(_LEVELS // 2, _LEVELS)]
    half = np.array(upper, np.float32)
    return np.concatenate([-half[::-1], half])
