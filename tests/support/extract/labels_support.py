"""Labelled image folders as people keep them, and what the listing and the cache make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
from PIL import Image

from fc7.extract.inputs.listing import list_inputs
from tests.support import COLOURS, coloured_picture


def labels(*inputs: Path, label_by: str | None = None) -> dict[str, str | None]:
    return {ref.path: ref.label for ref in list_inputs(list(inputs), label_by=label_by).images}


def splits(*inputs: Path) -> dict[str, str | None]:
    return {ref.path: ref.split for ref in list_inputs(list(inputs)).images}


def notes(*inputs: Path, label_by: str | None = None) -> list[str]:
    told: list[str] = []
    list_inputs(list(inputs), notify=told.append, label_by=label_by)
    return told


def column(path: Path, name: str) -> list[str]:
    with h5py.File(path) as file:
        return [value.decode() for value in file[name][:]]


def classes_of(metrics: dict[str, Any]) -> list[str]:
    return [line["label"] for line in metrics["classes"]]


def named_pictures(folder: Path, *names: str) -> Path:
    """PNG files of the colour that is in their path, each different."""
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        colour = next(colour for colour in COLOURS if colour in name)
        Image.fromarray(coloured_picture(colour, index)).save(folder / name)
    return folder
