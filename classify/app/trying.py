"""One picture at a time: what the classifier says, what it resembles, and where the classifier looks."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fc7.classify.app.files import AppFiles
from fc7.classify.app.labelling import top_guesses
from fc7.classify.app.labels import Labelled
from fc7.classify.app.photographs import picture_of
from fc7.classify.app.shared import Shared
from fc7.classify.app.training import HeldOut
from fc7.classify.predict.networks import find_network
from fc7.classify.predict.occlusion import occlusion_map
from fc7.classify.predict.train_overlap import in_train_set
from fc7.classify.similar.nearest import nearest_rows
from fc7.extract.cache.reader import CacheReader
from fc7.extract.records import Features, ImageRef
from fc7.extract.worker.worker import NetworkRun, Worker
from fc7.models.common.errors import ImageError, UsageError
from fc7.models.common.progress import Silent

_KEPT = 8
_NEIGHBOURS = 12
_SHOWN_SIDE = 1024
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class _Bytes:
    """The place of an image that is in memory; `extract.records.Origin`."""

    data: bytes
    name: str = ""

    def read(self, ref: ImageRef) -> bytes:
        return self.data


class Trying:
    """Runs the classifier's network, which is loaded when the first picture comes."""

    def __init__(self, files: AppFiles, shared: Shared) -> None:
        self._files, self._shared = files, shared
        self._lock = threading.Lock()
        self._worker: tuple[tuple[Path, str, str], Worker, str] | None = None
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._next = 1

    def classify(self, data: bytes, now: Labelled, fitted: HeldOut) -> dict[str, Any]:
        """What there is to say of a picture.

        Raises
        ------
        ImageError
            If it cannot be read.
        Fc7Error
            If the network is not there, or fails.
        """
        picture = picture_of(data, _SHOWN_SIDE)
        with self._lock:
            X = self._features([_in_memory(data)], fitted)
        P, novelty = fitted.classifier.proba_and_novelty(X)
        near = nearest_rows(X, self._train_blocks(now, fitted), _NEIGHBOURS)
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._kept[number] = picture
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        unlike = float(novelty[0])
        return {
            "id": number,
            "top": top_guesses(fitted, P)[0],
            "rejected": bool(fitted.classifier.rejected(P)[0]),
            "novelty": unlike if np.isfinite(unlike) else None,
            "novel": unlike > 1,
            "neighbours": [
                {
                    "row": row,
                    "label": now.labels[row],
                    "cosine": float(cosine),
                    "h": now.images.sha256[row][:8],
                    "path": now.images.paths[row],
                }
                for row, cosine in zip(near.rows[0].tolist(), near.cosines[0], strict=True)
                if 0 <= row < len(now.labels)
            ],
        }

    def picture(self, number: int) -> bytes:
        """The JPEG of a picture that was tried.

        Raises
        ------
        UsageError
            If it is no longer kept.
        """
        with self._lock:
            if number not in self._kept:
                raise UsageError(f"picture {number} is no longer kept, as {_KEPT} came since; try it again")
            return self._kept[number]

    def occlusion(self, number: int, fitted: HeldOut) -> dict[str, Any]:
        """Where the classifier looks in a picture that was tried.

        Raises
        ------
        UsageError, ImageError, Fc7Error
            As `picture` and `classify`.
        """
        picture = self.picture(number)
        with self._lock:
            found = occlusion_map(picture, fitted.classifier, lambda refs: self._features(refs, fitted))
        rows, columns = found.drop.shape
        return {
            "rows": rows,
            "columns": columns,
            "label": found.label,
            "base": found.base,
            "drop": [[round(float(p), 4) for p in row] for row in found.drop],
        }

    def _train_blocks(self, now: Labelled, fitted: HeldOut) -> Iterator[tuple[slice, Features]]:
        """The cache's features; rows that the classifier did not learn from are near to nothing."""
        learned = in_train_set(fitted.classifier, now.images.sha256, now.images.paths)
        with CacheReader(self._files.features) as reader:
            for where, X in reader.iter_blocks(fitted.layer, rows=4096):
                yield where, np.where(learned[where, None], X, np.float32(np.nan))

    def _features(self, refs: Sequence[ImageRef], fitted: HeldOut) -> Features:
        identity = fitted.classifier.identity
        stored, spec, layer = find_network(identity, Silent(), self._shared.note)
        key = stored.graph_path, layer, str(identity.preprocess)
        if self._worker is None or self._worker[0] != key:
            network = NetworkRun(stored.graph_path, spec, (layer,), how=self._files.run)
            self._worker = key, Worker(network, None, _AT_ONCE), layer
        finished, _ = self._worker[1].process(refs, "")
        if finished.failures:
            raise ImageError(finished.failures[0].reason)
        if not finished.refs:
            raise UsageError("no image was given")
        return finished.features[self._worker[2]]


def _in_memory(data: bytes) -> ImageRef:
    name = hashlib.sha256(data).hexdigest()
    return ImageRef(
        name, label=None, group=None, split=None, size=len(data), mtime_ns=0, origin=_Bytes(data), locator=0
    )
