"""`--label-by`: which class an image is of, read from its path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fc7.extract.inputs.labels.grouping import compile_pattern, group_of
from fc7.models.common.errors import UsageError

OPTION = "--label-by"


@dataclass(frozen=True, slots=True)
class LabelRule:
    """A folder by its place, or a pattern; use `parse`.

    Attributes
    ----------
    level : int or None
        1 for the outermost folder, -1 for the one that the image lies in; those that are parts of a split
        (`extract.inputs.labels.split_folders`) do not count.
    pattern : re.Pattern or None
        Finds the label as `extract.inputs.labels.grouping.group_of` finds a group.
    """

    level: int | None
    pattern: re.Pattern[str] | None

    @classmethod
    def parse(cls, text: str) -> LabelRule:
        """What the option says: a whole number is a level, anything else a pattern.

        Raises
        ------
        UsageError
            If it is 0 or no regular expression.
        """
        if re.fullmatch(r"-?[0-9]{1,3}", text):
            if int(text) == 0:
                raise UsageError(
                    f"{OPTION} 0 was found; give 1 for the outermost folder, 2 for the one below it, or "
                    "-1 for the folder an image lies in, -2 for the one around it"
                )
            return cls(int(text), None)
        return cls(None, compile_pattern(OPTION, text))

    def label(self, path: str, folders: Sequence[str]) -> str | None:
        """The label of an image, None for none.

        Parameters
        ----------
        folders : sequence of str
            Those of the path that count as levels, the outermost first.
        """
        if self.pattern is not None:
            return group_of(path, self.pattern)
        assert self.level is not None
        place = self.level - 1 if self.level > 0 else self.level + len(folders)
        return folders[place] if 0 <= place < len(folders) else None
