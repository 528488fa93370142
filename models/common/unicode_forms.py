"""Names in Unicode's two usual forms: NFC, as most systems write them, and NFD, as macOS does."""

from __future__ import annotations

import os
import unicodedata


def normal(text: str) -> str:
    r"""A text in the form NFC, in which ``é`` is one character.

    Examples
    --------
    >>> normal("e\u0301cole") == "\u00e9cole"
    True
    """
    return unicodedata.normalize("NFC", text)


def on_disk(path: str, base: str) -> str:
    """A path in the form in which there is a file of that name; as it is if there is none.

    Parameters
    ----------
    path : str
        As a list or manifest writes it.
    base : str
        Absolute folder that relative paths start at.
    """
    if path.isascii() or _exists(path, base):
        return path
    forms = (normal(path), unicodedata.normalize("NFD", path))
    return next((form for form in forms if _exists(form, base)), path)


def _exists(path: str, base: str) -> bool:
    return os.path.lexists(os.path.join(base, path))  # noqa: PTH118
