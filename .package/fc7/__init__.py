"""Features of a frozen network, kept in a cache; linear classifiers on them, fitted in seconds.

Examples
--------
``drawn`` is a folder of images for each class, as `fc7 shapes drawn --count 8` draws them, and ``tiles`` a
network in the store. Other examples find them too, and of them a ``features.h5`` and a ``classifier.onnx``.

>>> import fc7
>>> extracted = fc7.extract_features(["drawn"], "new.h5", fc7.ExtractOptions(network="tiles"))
>>> fitted = fc7.fit_cache("new.h5", "new.onnx", fc7.FitOptions(head="softmax"))
>>> done = fc7.classify_images(["drawn/star"], "new.onnx", "new.csv")
>>> extracted.rows, fitted.classifier.classes_, done.classified
(32, ('circle', 'rectangle', 'star', 'triangle'), 8)
"""

# Nothing is loaded here: before `fc7.cli.main` is called, Ctrl-C would end in a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fc7.classify import CachedLayer as CachedLayer
    from fc7.classify import ChoiceOptions as ChoiceOptions
    from fc7.classify import ClassifyOptions as ClassifyOptions
    from fc7.classify import FeatureClassifier as FeatureClassifier
    from fc7.classify import FitOptions as FitOptions
    from fc7.classify import ImageColumns as ImageColumns
    from fc7.classify import SimilarOptions as SimilarOptions
    from fc7.classify import choose_network as choose_network
    from fc7.classify import classify_images as classify_images
    from fc7.classify import fit_cache as fit_cache
    from fc7.classify import fit_classifier as fit_classifier
    from fc7.classify import load_classifier as load_classifier
    from fc7.classify import next_images as next_images
    from fc7.classify import save_classifier as save_classifier
    from fc7.classify import similar_images as similar_images
    from fc7.extract import ExtractOptions as ExtractOptions
    from fc7.extract import ImportOptions as ImportOptions
    from fc7.extract import extract_features as extract_features
    from fc7.extract import import_network as import_network
    from fc7.extract import load_features as load_features

    __version__: str

__all__ = [
    "CachedLayer",
    "ChoiceOptions",
    "ClassifyOptions",
    "ExtractOptions",
    "FeatureClassifier",
    "FitOptions",
    "ImageColumns",
    "ImportOptions",
    "SimilarOptions",
    "choose_network",
    "classify_images",
    "extract_features",
    "fit_cache",
    "fit_classifier",
    "import_network",
    "load_classifier",
    "load_features",
    "next_images",
    "save_classifier",
    "similar_images",
]


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version("fc7")
    for stage in ("extract", "classify"):
        room = import_module(f"fc7.{stage}")
        if name in room.__all__:
            return getattr(room, name)
    raise AttributeError(f"module 'fc7' has no attribute {name!r}")


def __dir__() -> "list[str]":
    return [*__all__, "__version__"]
