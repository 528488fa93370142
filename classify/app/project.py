"""Everything that the app can do, as functions that give JSON values; the server only carries them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from fc7.classify.app.files import AppFiles
from fc7.classify.app.folder import FolderWatch
from fc7.classify.app.jobs import Job, Jobs
from fc7.classify.app.labelling import Labelling
from fc7.classify.app.labels import Labelled, Labels
from fc7.classify.app.lists import Listed, part_of
from fc7.classify.app.photographs import Photographs
from fc7.classify.app.shared import Shared
from fc7.classify.app.taking import EXPORTS, take, taken
from fc7.classify.app.training import HeldOut, Training
from fc7.classify.app.trying import Trying
from fc7.classify.app.uploads import Upload, class_name, save_image
from fc7.classify.classifier.classifier import Head
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.suspects import Suspects
from fc7.extract.cache.format.identity import CacheIdentity
from fc7.models.common.errors import UsageError
from fc7.models.common.program import command_line
from fc7.models.common.terminal import counted


class Project:
    """The app's state; any thread may call it."""

    def __init__(self, files: AppFiles) -> None:
        self.files = files
        self.shared = Shared()
        self.jobs = Jobs(self.shared)
        self.rows = Labels(files, self.shared)
        self.photographs = Photographs(files)
        self.training = Training(files)
        self.labelling = Labelling(files)
        self.trying = Trying(files, self.shared)
        self._folder = FolderWatch(files, self.shared)
        self._suspects: Suspects | None = None

    def close(self) -> bool:
        """End what runs, which keeps what is done; whether it has ended."""
        self._folder.stop()
        return self.jobs.stop()

    def now(self) -> Labelled:
        """The images with their labels.

        Raises
        ------
        UsageError
            If there is no feature cache yet.
        """
        found = self.rows.labelled()
        if found is None:
            raise UsageError(
                f"there is no {self.files.features} yet; bring images, and read their features first"
            )
        return found

    def fitted(self) -> HeldOut:
        """The classifier with its held-out images.

        Raises
        ------
        UsageError
            If there is none, or none of these features.
        """
        found = self.training.fitted(self.rows.labelled())
        if found is None:
            why = self.training.problem or f"there is no {self.files.model} of these features yet"
            raise UsageError(f"{why}; train one first")
        return found

    def state(self) -> dict[str, Any]:
        """What every page needs at any time."""
        version = self.shared.version
        found = self.rows.labelled()
        images = None if found is None else found.images
        folder = self._folder.state(images)
        fitted, is_looking = self.training.known(found, self.shared.changed)
        rounds = self.training.rounds.read()
        counts = {} if found is None else found.classes
        counts |= {name: 0 for name in (folder.classes if folder else ()) if name not in counts}
        job = self.jobs.last
        n_corrected = 0 if found is None else found.n_corrected
        return {
            "version": version,
            "images_folder": str(self.files.images),
            "features": str(self.files.features),
            "cache": None if images is None else images.name,
            "n_rows": 0 if images is None else len(images.paths),
            "network": None if images is None else _network_of(images.header.identity),
            "classes": [{"name": name, "count": count} for name, count in counts.items()],
            "unlabelled": 0 if found is None else len(found.unlabelled),
            "taken_out": 0 if found is None else len(found.taken_out),
            "failures": 0 if images is None else len(images.failures),
            "can_undo": self.rows.can_undo,
            "corrections": n_corrected,
            "job": None if job is None else job.to_json(),
            "fitted": None
            if fitted is None
            else {"round": len(rounds), "since": self.training.changed_since(found)},
            "problem": self.training.problem,
            "looking": is_looking,
            "rounds": rounds,
            "in_folder": None if folder is None else folder.images,
            "unread": None if folder is None else len(folder.unread),
            "gone": None if folder is None else folder.gone,
            "has_suspects": self._suspects is not None,
            "notes": [{"id": note.id, "kind": note.kind, "text": note.text} for note in self.shared.notes],
        }

    def images(self, which: str, asked: dict[str, str], offset: int, limit: int) -> dict[str, Any]:
        """A part of a list of images, as `lists.part_of` gives it.

        Raises
        ------
        UsageError
            If there is no such list.
        """
        part = slice(max(0, offset), max(0, offset) + max(1, limit))
        if which == "unread":
            return self._folder.part_of_unread(part)
        return part_of(self._listed, which, asked, part=part)

    def list_rows(self, which: str, asked: dict[str, str]) -> dict[str, Any]:
        """The rows of a whole list, for what is to be done with all of it.

        Raises
        ------
        UsageError
            If there is no such list.
        """
        listed = self._listed
        return {
            "cache": listed.now.images.name,
            "rows": [row for row, _, _ in listed.rows(which, asked)],
        }

    @property
    def _listed(self) -> Listed:
        return Listed(self.now(), self.fitted, self._suspects)

    def unread_picture(self, number: int, side: int) -> bytes:
        """A JPEG of an image whose features are not read yet, by its number in the list of those.

        Raises
        ------
        ImageError
            If none has the number, or it cannot be read.
        """
        return self.photographs.unread_jpeg(self._folder.numbered(number), side)

    def failures(self) -> list[dict[str, str]]:
        """Images that could not be read, and why."""
        return [{"path": each.path, "reason": each.reason} for each in self.now().images.failures]

    def upload(self, label: str, name: str, data: bytes) -> Upload:
        """Keep a dropped image.

        Raises
        ------
        UsageError, Fc7Error
            As `save_image`.
        """
        kept = save_image(self.files.images, label, name, data=data)
        self._folder.look_again()
        return kept

    def new_class(self, name: str) -> str:
        """Make a class folder; the name that it has.

        Raises
        ------
        UsageError
            If no folder can have it.
        """
        plain = class_name(name)
        try:
            (self.files.images / plain).mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise UsageError(f"{plain!r}: the folder cannot be made: {exc.strerror or exc}") from exc
        self._folder.look_again()
        self.shared.changed()
        return plain

    def relabel(self, rows: Sequence[int], label: str | None, cache: str) -> int:
        """Keep the right label of some images; a label that none has yet is one that a folder can have.

        Raises
        ------
        UsageError, Fc7Error
            As `Labels.relabel` and `class_name`.
        """
        if label and label not in self.now().classes:
            label = class_name(label)
        return self.rows.relabel(rows, label, cache)

    def extract(self, network: str | None) -> Job:
        """Read the features of what is in the folder."""
        # It brings the engine, which looking and labelling do not need.
        from fc7.classify.app.extraction import extract_options, extraction

        found = self.rows.labelled()
        options = extract_options(self.files, network, None if found is None else found.images.header)
        work = extraction(self.files, options, self._folder.look_again)
        return self.jobs.start("extract", "reading features", work)

    def fit(self, options: dict[str, Any]) -> Job:
        """Train a classifier as `fit` does.

        Raises
        ------
        UsageError
            If an option is wrong, or another job runs.
        """
        now = self.now()
        chosen = _fit_options(options, self.files)
        return self.jobs.start("fit", "training", lambda job: self.training.fit(chosen, now, job))

    def search_suspects(self) -> Job:
        """Look for labels that may be wrong."""
        from fc7.classify.fit.suspects_from_cache import cache_suspects

        self.now()

        def work(job: Job) -> str:
            options = FitOptions(corrections=self.files.corrections_if_any)
            found = cache_suspects(self.files.features, options, progress=job)
            self._suspects = found
            return f"{counted(len(found.named), 'suspect')} among {found.labelled} labels"

        return self.jobs.start("suspects", "looking for suspects", work)

    def export(self, what: str) -> Job:
        """Write something to take away.

        Raises
        ------
        UsageError
            If there is no such export, or another job runs.
        """
        if what not in EXPORTS:
            raise UsageError(f"{what!r} was asked for; give one of {', '.join(EXPORTS)}")
        return self.jobs.start(
            "export", f"writing {EXPORTS[what][0]}", lambda job: take(what, self.files, job)
        )

    def exports(self) -> list[dict[str, Any]]:
        """What lies there to be taken away."""
        return taken(self.files)

    def accept(self, least: float, cache: str) -> int:
        """Give every unlabelled image that the classifier is so sure of the label that it guesses.

        Raises
        ------
        UsageError, Fc7Error
            As `Labels.accept`.
        """
        guesses = self.labelling.guesses(self.now(), self.fitted())
        sure = zip(guesses.rows, guesses.labels, guesses.probabilities.tolist(), strict=True)
        return self.rows.accept([(row, label) for row, label, p in sure if p >= np.float32(least)], cache)

    def networks(self) -> list[dict[str, Any]]:
        """The networks to choose from; those on this machine first."""
        from fc7.models.listing import network_rows

        found = self.rows.labelled()
        current = self.files.network if found is None else found.images.header.identity.network
        rows = [
            {
                "name": row["name"],
                "here": row["in_store"] and not row["damaged"],
                "installed": row["installed"],
                "package": row["package"],
                "trained": row["trained"],
                "top1": row["top1"],
                "megabytes": None if row["bytes"] is None else row["bytes"] / 1e6,
                "speed": None if row["measured"] is None else row["measured"]["images_per_second"],
                "licence": row["licence"],
                "about": row.get("about"),
                "current": row["name"] == current or (current is None and row["default"]),
                "call": self._call_with(row["name"]),
            }
            for row in network_rows()
        ]
        return sorted(rows, key=lambda row: not (row["here"] or row["installed"]))

    def _call_with(self, network: str) -> str:
        """The command that opens the same images and corrections with features of another network."""
        files = self.files
        features = files.features.with_name(f"features-{network}.h5")
        model = files.model.with_name(f"classifier-{network}.onnx")
        rounds = files.rounds.with_name(f"rounds-{network}.jsonl")
        exports = files.exports.with_name(f"{files.exports.name}-{network}")
        own: list[str | Path] = ["-f", features, "-m", model, "--rounds", rounds, "--exports", exports]
        own += ["--corrections", files.corrections]
        return command_line("app", files.images, "-n", network, *own)


def _network_of(made: CacheIdentity) -> dict[str, str]:
    return {"name": made.network, "layer": made.layers[-1]}


def _fit_options(given: dict[str, Any], files: AppFiles) -> FitOptions:
    head, C = cast('Head | Literal["auto"]', given.get("head") or "svm"), given.get("C")
    try:
        return FitOptions(
            head=None if head == "auto" else head,
            C=None if C is None else float(C),
            normalize=given.get("normalize") or "l2",
            test_size=float(given.get("test_size", 0.3)),
            seed=int(given.get("seed", 0)),
            corrections=files.corrections_if_any,
        )
    except (TypeError, ValueError) as exc:
        raise UsageError(f"the options of a fit were wrong: {exc}") from exc
