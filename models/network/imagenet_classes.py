"""The 1000 classes of ILSVRC-2012 in the order of the networks' outputs.

Facts from the challenge's synset list (image-net.org, ILSVRC-2012 development kit), in the order that
Caffe's auxiliary data (BVLC/caffe data/ilsvrc12, ``synset_words.txt``) and every network since share:
WordNet ids sorted, so that output 0 is n01440764.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class ImagenetClass:
    """A class.

    Attributes
    ----------
    wnid : str
        WordNet 3.0's id: ``n02123045``. Names are not unique (there are two cranes), this is.
    name : str
        WordNet's words for it, comma-separated: ``tabby, tabby cat``.
    """

    wnid: str
    name: str

    @property
    def label(self) -> str:
        """Id and name in one text, ``n02123045 tabby, tabby cat``."""
        return f"{self.wnid} {self.name}"


@cache
def imagenet_classes() -> tuple[ImagenetClass, ...]:
    """Class i is output i of a network with 1000 of them."""
    text = (files("fc7.models.network") / "imagenet_classes.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(ImagenetClass(row["wnid"], row["name"]) for row in rows)
