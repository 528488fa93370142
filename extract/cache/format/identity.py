"""What decides a feature, and how two answers to that differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fc7.models.common.errors import MismatchError, UnknownLayerError
from fc7.models.common.record_repr import one_line_repr
from fc7.models.network.spec import NetworkSpec, PreprocessSpec, combined_fingerprint

REMEDY = "choose another -o, or pass --force to replace it once the new one is complete"
"""What a run can do about a cache that it does not fit."""


@dataclass(frozen=True, slots=True)
class CacheIdentity:
    """What made the features of a cache, or what a run could make.

    Attributes
    ----------
    network : str
        The name it goes by; shown, not compared where fingerprints agree.
    fingerprints : mapping of str to str
        Layer -> `NetworkSpec.fingerprint`, in the order of the graph. For a run: every layer that
        the network can be cut at, so that a cache of any of them can be recognised.
    dims : mapping of str to int
        Layer -> length of its feature vector.
    pool : str
        How a spatial map became a vector.
    """

    network: str
    fingerprints: Mapping[str, str]
    dims: Mapping[str, int]
    preprocess: PreprocessSpec
    trained: bool
    pool: str

    __repr__ = one_line_repr

    @classmethod
    def of(cls, spec: NetworkSpec) -> CacheIdentity:
        """Everything that a network of the store can give."""
        return cls(
            network=spec.name,
            fingerprints={layer.name: spec.fingerprint(layer.name) for layer in spec.layers},
            dims={layer.name: layer.dim(spec.pool) for layer in spec.layers},
            preprocess=spec.preprocess,
            trained=spec.trained,
            pool=spec.pool,
        )

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in order."""
        return tuple(self.fingerprints)

    @property
    def fingerprint(self) -> str:
        """One hash for all layers (`combined_fingerprint`)."""
        return combined_fingerprint(self.fingerprints)

    def only(self, layers: Iterable[str]) -> CacheIdentity:
        """The same with these layers, in their order.

        Raises
        ------
        UnknownLayerError
        """
        names = list(layers)
        for name in names:
            if name not in self.fingerprints:
                known = ", ".join(self.layers[-12:])
                raise UnknownLayerError(f"network {self.network!r} has no layer {name!r}; it has {known}")
        return dataclasses.replace(
            self,
            fingerprints={name: self.fingerprints[name] for name in names},
            dims={name: self.dims[name] for name in names},
        )

    def widened(self, offered: CacheIdentity, wanted: Iterable[str]) -> CacheIdentity:
        """The same with the layers `wanted` too, in the order of `offered`, which has them all.

        Raises
        ------
        UnknownLayerError
        """
        new = offered.only(name for name in wanted if name not in self.fingerprints)
        if not new.layers:
            return self
        both = [name for name in offered.layers if name in self.fingerprints or name in new.fingerprints]
        # Where both have spatial maps the fingerprints saw to it that the pools are equal.
        return dataclasses.replace(
            self,
            pool=offered.pool,
            fingerprints={name: offered.fingerprints[name] for name in both},
            dims={name: offered.dims[name] for name in both},
        )

    def differences(self, found: CacheIdentity) -> list[str]:
        """Why rows of `found` cannot stand beside rows of this one; empty if they can.

        They can if at least one layer is in both and every such layer has the same fingerprint,
        which covers weights, graph, preprocessing and pooling. The name is not compared then.
        """
        common = [name for name in found.layers if name in self.fingerprints]
        unequal = [name for name in common if found.fingerprints[name] != self.fingerprints[name]]
        if common and not unequal:
            return []
        told = _preprocess_differences(found.preprocess, self.preprocess)
        if found.network != self.network:
            told.insert(0, f"network {found.network!r}, not {self.network!r}")
        if found.pool != self.pool:
            told.append(f"pool {found.pool!r}, not {self.pool!r}")
        if not common:
            told.append(f"layer {', '.join(found.layers)}, not {', '.join(self.layers[-12:])}")
        elif not told:
            name = unequal[0]
            told.append(
                f"other weights under the same name ({name} has fingerprint "
                f"{found.fingerprints[name][:12]}, not {self.fingerprints[name][:12]})"
            )
        return told

    def require(self, found: CacheIdentity, what: str, remedy: str) -> None:
        """Raise if rows of `found` cannot stand beside rows of this one.

        Parameters
        ----------
        what, remedy : str
            Begin and end of the message: where `found` comes from, and what to do.

        Raises
        ------
        MismatchError
        """
        differences = self.differences(found)
        if differences:
            raise MismatchError(f"{what} was made with {'; '.join(differences)}; {remedy}")


def _preprocess_differences(found: PreprocessSpec, needed: PreprocessSpec) -> list[str]:
    pairs = [
        (field.name, getattr(found, field.name), getattr(needed, field.name))
        for field in dataclasses.fields(PreprocessSpec)
    ]
    return [f"preprocessing {name}={old}, not {new}" for name, old, new in pairs if old != new]
