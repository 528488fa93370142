"""A file of predictions that grows by whole batches.

A batch is one write at the end of the file, which is flushed to the disk before the next one. A kill in its
midst leaves a line without an end. The next run takes that off, and the images that have no line are
classified anew.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.predict.predictions import Form, Prediction, PredictionFormat, PredictionWriter
from fc7.models.common.durable import explained
from fc7.models.common.errors import UsageError
from fc7.models.common.locks import exclusive
from fc7.models.outputs.outputs import Output


class AppendedPredictions:
    """An open file of predictions; use `appended_predictions`.

    Attributes
    ----------
    out : Output
    writer : PredictionWriter
        What it writes is in the file after `commit`.
    paths : frozenset of str
        Images that the file had a line for when it was opened.
    written_ns : int
        When it was last written before, nanoseconds since the epoch.
    """

    def __init__(self, file: io.FileIO, out: Output, classifier: Classifier, top_k: int, root: str) -> None:
        self.out, self._file = out, file
        self._waiting = io.StringIO(newline="")
        self.written_ns = os.fstat(file.fileno()).st_mtime_ns
        form: Form = "jsonl" if out.place.target.suffix.lower() == ".jsonl" else "csv"
        wanted = PredictionFormat(
            classifier.classes_, top_k, root, unknown=classifier.rejection_label, form=form, keep=True
        )
        self.writer = PredictionWriter(self._waiting, wanted)
        header = self._waiting.getvalue().encode()
        file.seek(0)
        held = file.read()
        whole = held[: held.rfind(b"\n") + 1]
        if out.guard.force and not whole.startswith(header):
            whole = b""
        if whole and not whole.startswith(header):
            raise UsageError(
                f"{out.path}: its first line is not that of this classifier and --top-k: "
                f"{header.decode().strip()!r} was needed; give -o another name, or --force to begin anew"
            )
        if whole:
            _empty(self._waiting)
        if len(whole) < len(held):
            file.truncate(len(whole))
        self.paths = frozenset(_paths(whole, form))
        self.commit()

    def commit(self) -> list[Prediction]:
        """Put what was written at the end of the file, and on the disk; gives it back."""
        # A path may hold bytes that are no UTF-8; they are kept as Python keeps them.
        data = self._waiting.getvalue().encode("utf-8", "surrogateescape")
        _empty(self._waiting)
        if data:
            self._file.write(data)
            os.fsync(self._file.fileno())
        done, self.writer.kept = self.writer.kept, []
        return done


@contextmanager
def appended_predictions(
    out: Output, classifier: Classifier, top_k: int, root: str
) -> Iterator[AppendedPredictions]:
    """Open or make a file of predictions, to write at its end; JSON lines if its suffix is ``.jsonl``.

    Parameters
    ----------
    root : str
        Put before every path.

    Raises
    ------
    UsageError
        If its lines are of another classifier's classes, or it is no file.
    Fc7Error
        If it cannot be written, or another process writes it now.
    """
    target = out.place.target
    if out.place.stream:
        raise UsageError(f"{out.option} {out.path}: a file was needed, to which lines are added; name one")
    lock = target.with_name(f".{target.name}.lock")
    with explained(out.path, out.option):
        if out.makes_folder:
            target.parent.mkdir(parents=True, exist_ok=True)
        # In append mode every write is at the end of the file.
        with exclusive(lock), target.open("a+b", buffering=0) as file:
            yield AppendedPredictions(file, out, classifier, top_k=top_k, root=root)


def _empty(text: io.StringIO) -> None:
    text.seek(0)
    text.truncate()


def _paths(lines: bytes, form: Form) -> Iterator[str]:
    text = io.StringIO(lines.decode("utf-8", "surrogateescape"), newline="")
    if form == "csv":
        yield from (row["path"] for row in csv.DictReader(text))
    else:
        yield from (json.loads(line)["path"] for line in text)
