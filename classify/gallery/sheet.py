"""A contact sheet of predictions: one HTML page, the images of each label together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fc7.classify.gallery.page import MOST_PICTURES, Page, Picture, Section, Sheet, write_page
from fc7.classify.predict.predictions import Prediction
from fc7.classify.report.thumbnails import Originals, Thumbnail, make_thumbnails
from fc7.models.common.label_names import in_order
from fc7.models.common.progress import Progress
from fc7.models.common.terminal import counted
from fc7.models.outputs.outputs import Output


@dataclass(frozen=True, slots=True)
class _PredictedGroup:
    """The predictions of a label: how many, and the rows that are shown, least probable first."""

    label: str
    n: int
    rows: Sequence[int]


def write_sheet(
    predictions: Sequence[Prediction], originals: Originals, out: Output, title: str, progress: Progress
) -> Sheet:
    """Write the page.

    Parameters
    ----------
    title : str
        What was classified, with what.

    Raises
    ------
    Fc7Error
        If it cannot be written.
    """
    groups = shown_groups(predictions)
    rows = [row for group in groups for row in group.rows]
    wanted = ((row, predictions[row].path, predictions[row].sha256) for row in rows)
    made = make_thumbnails(originals, wanted, progress)
    unread = [(each.path, each.error) for each in predictions if each.error]
    sections = [_section(group, predictions, made) for group in groups]
    page = Page(
        "classify",
        heading="Predictions",
        title=title,
        summary=_summary(groups, len(unread)),
        sections=sections,
        unread=unread,
    )
    return write_page(page, out)


def shown_groups(predictions: Sequence[Prediction], most: int = MOST_PICTURES) -> list[_PredictedGroup]:
    """The labels in their order; where there are too many images, each label gets an equal part of the room.

    Those with the least probable labels are shown first: they are worth a look before others.
    """
    of_label: dict[str, list[int]] = {}
    for row, prediction in enumerate(predictions):
        if not prediction.error:
            of_label.setdefault(prediction.label, []).append(row)
    room, shown = most, dict[str, list[int]]()
    for i, label in enumerate(sorted(of_label, key=lambda label: len(of_label[label]))):
        rows = sorted(of_label[label], key=lambda row: predictions[row].score)
        shown[label] = rows[: room // (len(of_label) - i)]
        room -= len(shown[label])
    return [_PredictedGroup(label, len(of_label[label]), shown[label]) for label in in_order(of_label)]


def _section(
    group: _PredictedGroup, predictions: Sequence[Prediction], made: dict[int, Thumbnail]
) -> Section:
    left = group.n - len(group.rows)
    note = counted(group.n, "image") + (f"; {left} more probable ones are left out" if left else "")
    pictures = [Picture(predictions[row].path, _said(predictions[row]), made[row]) for row in group.rows]
    return Section(group.label, group.n, note, pictures=pictures)


def _summary(groups: Sequence[_PredictedGroup], n_failures: int) -> str:
    n, shown = sum(group.n for group in groups), sum(len(group.rows) for group in groups)
    text = f"{counted(n, 'image')} of {counted(len(groups), 'label')}, {n_failures} not read. "
    text += "The least probable of each label stand first."
    return text if shown == n else f"{text} {shown} are shown, as one page takes; {n - shown} are left out."


def _said(prediction: Prediction) -> str:
    said, best = f"{prediction.score:.1%}", prediction.pairs[0][0]
    if best != prediction.label:
        said += f", {best}"
    return f"{said}, unlike training" if prediction.novelty > 1 else said
