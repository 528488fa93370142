"""A page of the images to label next, the least sure first."""

from __future__ import annotations

from pathlib import Path

from fc7.classify.active_learning.next_images import NextImages
from fc7.classify.gallery.after import originals_of
from fc7.classify.gallery.page import MOST_PICTURES, Page, Picture, Section, Sheet, write_page
from fc7.classify.report.thumbnails import make_thumbnails
from fc7.models.common.progress import Progress
from fc7.models.common.terminal import counted
from fc7.models.outputs.outputs import Output


def write_next_sheet(chosen: NextImages, features: Path, out: Output, progress: Progress) -> Sheet:
    """Write the page.

    Raises
    ------
    Fc7Error
        If it cannot be written.
    """
    shown = chosen.images[:MOST_PICTURES]
    made = make_thumbnails(
        originals_of(features), [(i, each.path, each.sha256) for i, each in enumerate(shown)], progress
    )
    pictures = [
        Picture(
            each.path,
            f"{i + 1}. {each.suggested or 'no guess'}" + (f", or {each.second}" if each.second else ""),
            made[i],
        )
        for i, each in enumerate(shown)
    ]
    section = Section("To label", len(chosen.images), f"by {chosen.by}", pictures=pictures)
    summary = f"{len(chosen.images)} of {counted(chosen.n_unlabelled, 'image')} without a label."
    return write_page(
        Page("next", "Images to label next", str(features), summary=summary, sections=[section]), out
    )
