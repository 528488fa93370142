"""Every error fc7 raises on purpose.

::

    Fc7Error                        exit 1: the work failed
    ├── UsageError                  exit 2: the call was wrong
    │   ├── UnknownNetworkError     no such network in the catalogue or the store
    │   ├── UnknownLayerError       the network has no such tensor
    │   ├── ProviderError           the device or precision asked for is not to be had
    │   ├── MismatchError           features, cache and classifier are not of one network
    │   └── DataError               these rows cannot be fitted or tested (labels, classes, NaN)
    ├── WeightsError                a network file that cannot be used
    │   └── UnsafeFileError         a file that asks to run code, or to eat the machine
    ├── SourceError                 a manifest, list, array file or archive that cannot be read
    ├── CredentialsError            a store refuses whoever asks; no image of it can be read
    ├── DownloadError               no source gave the file whole and unaltered
    ├── ImageError                  one image gave no pixels; its neighbours go on
    ├── CacheError                  features.h5 cannot be read or written
    │   ├── CacheCorruptError       bytes that fail their checksum, rows that do not add up
    │   └── CacheLockedError        another process is writing it
    ├── DeviceMemoryError           a batch did not fit into the device's memory
    ├── EngineError                 the network failed while it ran
    ├── HungError                   an image or the network does not come to an end
    ├── ClassifierError             classifier.onnx cannot be read
    └── StoppedError                exit 130: Ctrl-C; what was finished is kept

A message says what was found, what was needed and what to do next. Foreign
libraries' errors are translated at the one module that imports the library,
``raise ... from exc``; the command line prints the message and never a traceback.
"""


class Fc7Error(Exception):
    """The root: the work failed. The command line exits with `exit_code`."""

    exit_code = 1


class UsageError(Fc7Error):
    """The call was wrong: an option, a name, or inputs that do not belong together."""

    exit_code = 2


class UnknownNetworkError(UsageError):
    """Neither the catalogue nor the store knows a network of this name."""


class UnknownLayerError(UsageError):
    """The network has no tensor of this name to cut at."""


class ProviderError(UsageError):
    """The execution provider or precision that was asked for is not available."""


class MismatchError(UsageError):
    """Two artefacts were made by different networks, layers or preprocessing."""


class DataError(UsageError):
    """Rows or labels that no classifier can be fitted on or evaluated with."""


class WeightsError(Fc7Error):
    """A network file that is damaged, of an unknown format, or of another architecture."""


class UnsafeFileError(WeightsError):
    """A file that would execute code, leave its folder, or exhaust memory; refused unread."""


class SourceError(Fc7Error):
    """A file that holds or names many images is damaged, or not built as it must be."""


class CredentialsError(Fc7Error):
    """A store refuses whoever asks, not one object: asking for the next one is of no use."""


class DownloadError(Fc7Error):
    """No source delivered the file whole, unaltered and as published.

    Attributes
    ----------
    attempts : tuple of (str, str)
        Every address that was tried, with the reason it gave nothing.
    """

    def __init__(self, message: str, attempts: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.attempts = attempts


class ImageError(Fc7Error):
    """One image that gave no pixels. Its text is the reason that the failure list shows."""


class CacheError(Fc7Error):
    """The feature cache cannot be read or written."""


class CacheCorruptError(CacheError):
    """Bytes that fail their checksum, or rows and failures that do not add up."""


class CacheLockedError(CacheError):
    """Another process is writing this cache."""


class DeviceMemoryError(Fc7Error):
    """A batch that did not fit; a smaller one may."""


class EngineError(Fc7Error):
    """The network failed while it ran; the text holds the engine's own words."""


class HungError(Fc7Error):
    """A thread that does not come back, and that Python would wait for at its end: leave by `os._exit`."""


class ClassifierError(Fc7Error):
    """The classifier file is damaged or not one of ours."""


class StoppedError(Fc7Error):
    """Ctrl-C. What was finished is committed; the message says how to go on."""

    exit_code = 130
