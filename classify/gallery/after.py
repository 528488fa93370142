"""What `classify` makes of its predictions beside their file: a contact sheet, images in folders by label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fc7.classify.gallery.copies import Copied, Sorted, copy_images, new_folder
from fc7.classify.gallery.page import Sheet
from fc7.classify.gallery.sheet import write_sheet
from fc7.classify.predict.predictions import Prediction, shown_root
from fc7.classify.report.thumbnails import Originals, find_originals
from fc7.extract.cache.reader import CacheReader
from fc7.extract.records import Listing
from fc7.models.common.progress import Progress
from fc7.models.outputs.outputs import Output

_OPTION = "--sort-into"


@dataclass(frozen=True, slots=True)
class WantedOutputs:
    """What is wanted; tried when it is made, before the work.

    Attributes
    ----------
    sheet : Output or None
        Where the page goes.
    folder : Path or None
        Where the images go.
    link : bool
        Make hard links.

    Raises
    ------
    UsageError
        If there is something in the folder.
    """

    sheet: Output | None
    folder: Path | None
    link: bool

    def __post_init__(self) -> None:
        if self.folder is not None:
            new_folder(self.folder, _OPTION)

    @property
    def wanted(self) -> bool:
        """Whether anything is."""
        return self.sheet is not None or self.folder is not None


@dataclass(frozen=True, slots=True)
class Made:
    """What was made."""

    sheet: Sheet | None = None
    copied: Copied | None = None

    @property
    def incomplete(self) -> bool:
        """Whether an image was not copied that should have been."""
        return self.copied is not None and bool(self.copied.skipped)

    def lines(self) -> list[str]:
        """For people."""
        return [each.describe() for each in (self.sheet, self.copied) if each is not None]

    def to_json(self) -> dict[str, object]:
        """The same for a program; empty where nothing was made."""
        made: dict[str, object] = {} if self.sheet is None else {"html": str(self.sheet.path)}
        return made if self.copied is None else {**made, "sorted": self.copied.to_json()}


def show_predictions(
    predictions: Sequence[Prediction],
    inputs: Listing | Path,
    shown: WantedOutputs,
    title: str,
    progress: Progress,
) -> Made:
    """Make what is wanted.

    Parameters
    ----------
    inputs : Listing or Path
        What was classified; of a feature cache the images are looked for where they lay.

    Raises
    ------
    Fc7Error
        If it cannot be written.
    """
    if not shown.wanted:
        return Made()
    originals = originals_of(inputs)
    sheet = copied = None
    if shown.sheet is not None:
        sheet = write_sheet(predictions, originals, shown.sheet, title=title, progress=progress)
    if shown.folder is not None:
        wanted = [Sorted(each.path, each.sha256, each.label) for each in predictions if not each.error]
        copied = copy_images(
            wanted, originals, shown.folder, option=_OPTION, progress=progress, link=shown.link
        )
    return Made(sheet, copied)


def originals_of(inputs: Listing | Path) -> Originals:
    """The images of a listing, or those of a feature cache as far as they are found, by their shown paths."""
    if isinstance(inputs, Listing):
        root = shown_root(inputs)
        return Originals({root + ref.path: ref for ref in inputs.images})

    with CacheReader(inputs) as reader:
        return find_originals(reader.header.roots, (), inputs)
