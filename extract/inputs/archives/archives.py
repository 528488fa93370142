"""Archives without unpacking."""

from __future__ import annotations

from pathlib import Path

from fc7.extract.inputs.archives.tars import list_tar
from fc7.extract.inputs.archives.zips import list_zip
from fc7.extract.inputs.places.folders import as_typed
from fc7.extract.inputs.places.join import ListedSource
from fc7.models.common.progress import Notify


def list_archive(path: Path, typed: str, notify: Notify) -> ListedSource:
    """Every image in an archive; the label is the folder's name inside it, or a shard's own.

    Parameters
    ----------
    path : Path
        Absolute.
    typed : str
        As the user gave it.

    Raises
    ------
    SourceError
        If it is damaged.
    UnsafeFileError
        If it claims or expands beyond `extract.images.limits`.
    """
    reader = list_zip if path.name.lower().endswith(".zip") else list_tar
    name = as_typed(typed)
    return ListedSource(name, str(path), reader(path, name, notify))
