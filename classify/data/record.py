"""Which images a classifier learned from and which it was tested on, small enough to lie in its file.

An image is known by 40 bits of a SHA-256: of its content hash, or of its path where the content is not
known. So `report`, `evaluate` and `compare` find the held-out rows of a features.h5 again, in whatever
order it holds them and under whatever names. Of 200,000 images that is 1.3 MB of base64; an image that was
in neither part is taken for one of them with a probability of 200,000 / 2**40.

One content may lie in both parts (a given split that parts copies). The whole content then counts as the
part that was seen sooner, training before test, and each row that differs from it is listed beside it by
content and path with 64 bits. The rows that were given are thus found again exactly, and an unknown copy
is never taken for unseen.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.record_repr import one_line_repr

Keys = NDArray[np.uint64]

TRAIN, TEST, NEITHER = "train", "test", ""
_PARTS = (TRAIN, TEST, NEITHER)
_BYTES, _EXACT_BYTES = 5, 8


@dataclass(frozen=True, slots=True, eq=False)
class SplitRecord:
    """The two parts of a split by the images' content; use `SplitRecord.of`.

    Attributes
    ----------
    train, test : ndarray of uint64
        Keys of contents, ascending.
    differing : mapping of str to ndarray of uint64
        Part (``train``, ``test`` or empty) -> keys of content and path of the rows that are in it while
        their content counts as another.
    """

    train: Keys
    test: Keys
    differing: Mapping[str, Keys]

    __repr__ = one_line_repr

    @classmethod
    def of(
        cls, parts: Sequence[str], sha256: Sequence[str] | None, paths: Sequence[str] | None
    ) -> SplitRecord:
        """Of rows and their parts.

        Parameters
        ----------
        parts : sequence of n str
            ``train``, ``test``, or empty for a row that was left out.
        sha256 : sequence of n str, or None
            Content hashes, empty where unknown.
        paths : sequence of n str, or None
            Not None where a content hash is unknown.
        """
        given = np.array([_PARTS.index(part) for part in parts], np.intp)
        keys = _content_keys(len(given), sha256, paths)
        contents, of_row = np.unique(keys, return_inverse=True)
        counts_as = np.full(len(contents), len(_PARTS), np.intp)
        np.minimum.at(counts_as, of_row, given)
        apart = np.flatnonzero(counts_as[of_row] != given)
        exact = _exact_keys(apart, sha256, paths)
        return cls(
            train=contents[counts_as == _PARTS.index(TRAIN)],
            test=contents[counts_as == _PARTS.index(TEST)],
            differing={
                part: np.unique(exact[given[apart] == i])
                for i, part in enumerate(_PARTS)
                if (given[apart] == i).any()
            },
        )

    def part_of(self, sha256: Sequence[str] | None, paths: Sequence[str] | None = None) -> NDArray[np.str_]:
        """The part of each image.

        Parameters
        ----------
        sha256 : sequence of n str, or None
            Content hashes as a cache has them, empty where unknown.
        paths : sequence of n str, or None
            As a cache has them. Needed where a content hash is unknown, and to tell copies apart that a
            given split put into both parts.

        Returns
        -------
        ndarray of shape (n,), str
            ``train``, ``test``, or empty for an image that was in neither. An image without hash and path
            is in neither.
        """
        n = len(sha256 if sha256 is not None else paths if paths is not None else ())
        keys = _content_keys(n, sha256, paths)
        found = np.full(n, NEITHER, dtype="<U5")
        found[np.isin(keys, self.test)] = TEST
        found[np.isin(keys, self.train)] = TRAIN
        if self.differing and paths is not None:
            exact = _exact_keys(np.arange(n), sha256, paths)
            for part, rows in self.differing.items():
                found[np.isin(exact, rows)] = part
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON values; the same rows give the same, in any order."""
        return {
            TRAIN: _packed(self.train, _BYTES),
            TEST: _packed(self.test, _BYTES),
            "differing": {part: _packed(keys, _EXACT_BYTES) for part, keys in self.differing.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SplitRecord:
        """The inverse of `to_json`.

        Raises
        ------
        ValueError, KeyError, TypeError, AttributeError
            If it is not what `to_json` gives.
        """
        differing = {part: _unpacked(text, _EXACT_BYTES) for part, text in value["differing"].items()}
        if not set(differing) <= set(_PARTS):
            raise ValueError(f"the split names the sets {', '.join(map(repr, differing))}")
        return cls(_unpacked(value[TRAIN], _BYTES), _unpacked(value[TEST], _BYTES), differing)


def _content_keys(n: int, sha256: Sequence[str] | None, paths: Sequence[str] | None) -> Keys:
    if n and sha256 is None and paths is None:
        raise ValueError("neither content hashes nor paths were given")
    texts = [f"path {path}" for path in paths] if paths is not None else [""] * n
    if sha256 is not None:
        texts = [f"content {digest}" if digest else text for digest, text in zip(sha256, texts, strict=True)]
    return _keys(texts, _BYTES)


def _exact_keys(rows: NDArray[np.intp], sha256: Sequence[str] | None, paths: Sequence[str] | None) -> Keys:
    chosen = rows.tolist()
    digests = [sha256[i] for i in chosen] if sha256 is not None else [""] * len(chosen)
    names = [paths[i] for i in chosen] if paths is not None else [""] * len(chosen)
    return _keys([f"{digest}\n{name}" for digest, name in zip(digests, names, strict=True)], _EXACT_BYTES)


def _keys(texts: Sequence[str], n_bytes: int) -> Keys:
    digests = b"".join(
        hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:n_bytes] for text in texts
    )
    return _from_bytes(digests, n_bytes)


def _packed(keys: Keys, n_bytes: int) -> str:
    wide = keys.astype(">u8").view(np.uint8).reshape(-1, 8)
    return base64.b64encode(wide[:, 8 - n_bytes :].tobytes()).decode("ascii")


def _unpacked(text: str, n_bytes: int) -> Keys:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise ValueError(f"the split is not base64: {exc}") from exc
    if len(data) % n_bytes:
        raise ValueError(f"the split has {len(data)} bytes, and each image takes {n_bytes}")
    return _from_bytes(data, n_bytes)


def _from_bytes(data: bytes, n_bytes: int) -> Keys:
    wide = np.zeros((len(data) // n_bytes, 8), np.uint8)
    wide[:, 8 - n_bytes :] = np.frombuffer(data, np.uint8).reshape(-1, n_bytes)
    return wide.view(">u8")[:, 0].astype(np.uint64)
