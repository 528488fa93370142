"""The rounds of training: a line of JSON for each, so that their accuracies outlive the app."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fc7.classify.fit.result import FitResult
from fc7.models.common.errors import Fc7Error, UsageError


class Rounds:
    """Reads and adds to the file of rounds.

    Raises
    ------
    UsageError
        If something else stands there.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        if file.exists() and file.stat().st_size and not self.read():
            raise UsageError(
                f"--rounds {file}: something else stands there, and a line for every training was to be "
                "added; name another file"
            )

    def read(self) -> list[dict[str, Any]]:
        """A record of every training, the first first; a line that a kill cut off is none."""
        try:
            lines = self._file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        found = []
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and isinstance(record.get("accuracy"), float):
                found.append(record)
        return found

    def made(self, classifier: Path) -> bool:
        """Whether one of these trainings wrote the classifier that stands there."""
        digest = hashlib.sha256(classifier.read_bytes()).hexdigest()
        return any(record.get("classifier") == digest for record in self.read())

    def add(self, result: FitResult, classifier: Path, n_corrections: int) -> None:
        """Add a training to the file; it is on the disk then.

        Raises
        ------
        Fc7Error
            If it cannot be written.
        """
        low, high = result.metrics.accuracy_interval
        record = {
            "n": len(self.read()) + 1,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "accuracy": float(result.metrics.accuracy),
            "low": low,
            "high": high,
            "n_train": len(result.train),
            "n_test": len(result.test),
            "n_corrections": n_corrections,
            "head": result.classifier.head,
            "C": result.C,
            "seconds": result.seconds,
            "classifier": hashlib.sha256(classifier.read_bytes()).hexdigest(),
        }
        try:
            with self._file.open("ab+") as stream:
                stream.seek(0)
                cut = stream.read()[-1:] not in (b"", b"\n")
                stream.write((b"\n" if cut else b"") + json.dumps(record).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as exc:
            raise Fc7Error(
                f"{self._file}: cannot be written: {exc.strerror or exc}; the training itself is done"
            ) from exc
