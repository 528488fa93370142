"""Which features a classifier was fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from fc7.models.common.record_repr import one_line_repr
from fc7.models.network.spec import Pool

POOLS: tuple[Pool, ...] = get_args(Pool)


@dataclass(frozen=True, slots=True)
class FeatureIdentity:
    """Which features a classifier was fitted on; empty texts where the caller did not say.

    Attributes
    ----------
    network, layer : str
        Names; shown, not compared.
    fingerprint : str
        `models.network.spec.NetworkSpec.fingerprint` of the layer: other features are refused by it.
    preprocess : str
        `models.network.spec.PreprocessSpec.to_json`.
    trained : bool
        False for a network with random weights.
    pool : {"flatten", "avg", "max", "token"}
    """

    network: str = ""
    layer: str = ""
    fingerprint: str = ""
    preprocess: str = ""
    trained: bool = True
    pool: Pool = "flatten"

    __repr__ = one_line_repr
