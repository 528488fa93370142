"""What imagecodecs, the extra `jxl`, decodes for fc7. Its only importer."""

from __future__ import annotations

from functools import cache
from typing import Any

from fc7.extract.images.codecs.formats import not_installed


def codecs(what: str, codec: str) -> Any:
    """The package, if it is installed and has a codec.

    Parameters
    ----------
    what : str
        Kind of file that needs it, for the error.
    codec : str
        As imagecodecs calls it: ``JPEGXL``.

    Raises
    ------
    ImageError
        If it has not; the text says how to install it.
    """
    package = _imagecodecs()
    # A build of one's own may lack it.
    if package is None or not getattr(package, codec).available:
        raise not_installed(what, "imagecodecs", "jxl")
    return package


@cache
def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError:
        return None
    return imagecodecs
