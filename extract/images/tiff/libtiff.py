"""Record libtiff's errors while Pillow decodes a TIFF.

libtiff reports errors through a process-wide handler. Pillow does not set it, so they are
printed on the terminal, and fax data is filled up without an error where a code does
not exist. Pillow's wheels carry a libtiff of their own; its handler is set here, through
ctypes, to note the error for the thread that decodes. Where Pillow uses another libtiff
(built from source, or linked in, as on Windows) nothing is changed: another library may
share it, its errors are printed, and broken fax data goes unseen there. libtiff's warnings
cannot be heard, Pillow turns them off before each decode.
"""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path

# void (*TIFFErrorHandler)(const char *module, const char *format, va_list): tiffio.h. Every
# calling convention in use passes the va_list as one pointer, which is not read here.
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
# Where auditwheel (Linux) and delocate (macOS) put it, beside or inside the package.
_PLACES = ("../pillow.libs/libtiff*", ".dylibs/libtiff*")
# The decoders that go on after an error (tif_fax3.c). Others stop, and Pillow fails by itself;
# errors in odd tags do not touch the pixels.
_FILLING_DECODERS = "Fax"

_reported = threading.local()
_found: list[ctypes.CDLL] = []


def _note(module: bytes | None, text: bytes | None, _: int | None) -> None:
    _reported.modules = [
        *getattr(_reported, "modules", ()),
        (module or b"libtiff").decode("ascii", "replace"),
    ]


# The library keeps this pointer for as long as it is loaded; so must we.
_note_pointer = _HANDLER(_note)


def listen(package: Path) -> bool:
    """Set the error handler of the libtiff inside Pillow's wheel.

    Parameters
    ----------
    package : Path
        The folder of the PIL package.

    Returns
    -------
    bool
        Whether such a library was found.
    """
    found = [path for place in _PLACES for path in sorted(package.glob(place))]
    _found[:] = [ctypes.CDLL(str(path)) for path in found]
    for library in _found:
        setter = library.TIFFSetErrorHandler
        setter.argtypes, setter.restype = [_HANDLER], ctypes.c_void_p
        setter(_note_pointer)
    return bool(found)


def lacks(compression: int) -> bool:
    """Whether that library was built without a compression of this number; False where none was found."""
    return any(not library.TIFFIsCODECConfigured(ctypes.c_uint16(compression)) for library in _found)


def forget() -> None:
    """Forget this thread's complaints; call it before a decode."""
    _reported.modules = []


def complaint(filling: bool = False) -> str | None:
    """The first of libtiff's functions that complained in this thread since `forget`, or None.

    Parameters
    ----------
    filling : bool
        Only those that then go on and fill up what is missing.
    """
    modules: list[str] = getattr(_reported, "modules", [])
    return next((name for name in modules if not filling or name.startswith(_FILLING_DECODERS)), None)
