"""What is taken away: files in one folder, each written by the function behind the command of that name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fc7.classify.app.files import AppFiles
from fc7.classify.app.jobs import Job
from fc7.classify.classifier.artifact import load_classifier, save_classifier
from fc7.models.common.errors import Fc7Error, UsageError


def _classifier(files: AppFiles, out: Path, job: Job) -> None:
    save_classifier(load_classifier(files.model), out)


def _full(files: AppFiles, out: Path, job: Job) -> None:
    from fc7.classify.export.check_images import CheckInputs
    from fc7.classify.export.export import export_full

    inputs = CheckInputs(features=files.features)
    done = export_full(load_classifier(files.model), out, inputs, progress=job, notify=job.note)
    job.note(done.describe())


def _report(files: AppFiles, out: Path, job: Job) -> None:
    from fc7.classify.report.make import ReportOptions, make_report

    options = ReportOptions(corrections=files.corrections_if_any)
    make_report(files.features, files.model, out, options=options, progress=job)


def _card(files: AppFiles, out: Path, job: Job) -> None:
    from fc7.classify.export.card import write_card

    write_card(load_classifier(files.model), out)


def _predictions(files: AppFiles, out: Path, job: Job) -> None:
    from fc7.classify.predict.options import ClassifyOptions
    from fc7.classify.predict.predict import classify_images

    options = ClassifyOptions(keep_rows=False)
    classify_images([files.features], files.model, out, options=options, progress=job, notify=job.note)


def _browser(files: AppFiles, out: Path, job: Job) -> None:
    from fc7.classify.export.browser import export_browser
    from fc7.classify.export.check_images import CheckInputs

    inputs, classifier = CheckInputs(features=files.features), load_classifier(files.model)
    done = export_browser(
        classifier, out, files.onnxruntime_web, inputs=inputs, progress=job, notify=job.note
    )
    job.note(done.describe())


_Write = Callable[[AppFiles, Path, Job], None]
EXPORTS: Mapping[str, tuple[str, _Write]] = {
    "classifier": ("classifier.onnx", _classifier),
    "full": ("full.onnx", _full),
    "report": ("report.html", _report),
    "card": ("MODEL_CARD.md", _card),
    "predictions": ("predictions.csv", _predictions),
    "browser": ("web", _browser),
}
"""Name -> the file, or the folder, and what writes it."""


def take(what: str, files: AppFiles, job: Job) -> str:
    """Write one of `EXPORTS`; what to say of it.

    Raises
    ------
    UsageError
        If there is no such export, or no classifier yet.
    Fc7Error
        If it cannot be written.
    """
    if what not in EXPORTS:
        raise UsageError(f"{what!r} was asked for; give one of {', '.join(EXPORTS)}")
    if not files.model.is_file():
        raise UsageError("there is no classifier yet; train one first")
    name, write = EXPORTS[what]
    out = files.exports / name
    try:
        files.exports.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise Fc7Error(f"{files.exports}: cannot be made: {exc.strerror or exc}") from exc
    job.start(0, what)
    write(files, out, job)
    return f"wrote {out}"


def taken(files: AppFiles) -> list[dict[str, Any]]:
    """The exports that lie there, in the order of `EXPORTS`; a number stands for a file."""
    found = []
    for number, (what, (name, _)) in enumerate(EXPORTS.items()):
        try:
            status = (files.exports / name).stat()
        except OSError:
            continue
        when = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
        size = None if (files.exports / name).is_dir() else status.st_size
        found.append({"number": number, "what": what, "name": name, "size": size, "when": when})
    return found


def file_of(files: AppFiles, number: int) -> Path:
    """The file that a number of `taken` stands for.

    Raises
    ------
    UsageError
        If there is none.
    """
    names = [name for name, _ in EXPORTS.values()]
    if not 0 <= number < len(names) or not (files.exports / names[number]).is_file():
        raise UsageError(f"export {number} is not there; make it first")
    return files.exports / names[number]
