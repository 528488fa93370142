"""Stage two: features to a classifier, images to predictions. Its Python interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fc7.classify.active_learning.next_images import next_images as next_images
    from fc7.classify.classifier.artifact import load_classifier as load_classifier
    from fc7.classify.classifier.artifact import save_classifier as save_classifier
    from fc7.classify.fit.estimator import FeatureClassifier as FeatureClassifier
    from fc7.classify.fit.fit import FitOptions as FitOptions
    from fc7.classify.fit.fit import fit_classifier as fit_classifier
    from fc7.classify.fit.from_cache import CachedLayer as CachedLayer
    from fc7.classify.fit.from_cache import fit_cache as fit_cache
    from fc7.classify.image_columns import ImageColumns as ImageColumns
    from fc7.classify.network_choice.choose_network import ChoiceOptions as ChoiceOptions
    from fc7.classify.network_choice.choose_network import choose_network as choose_network
    from fc7.classify.predict.options import ClassifyOptions as ClassifyOptions
    from fc7.classify.predict.predict import classify_images as classify_images
    from fc7.classify.similar.similar import SimilarOptions as SimilarOptions
    from fc7.classify.similar.similar import similar_images as similar_images

__all__ = [
    "CachedLayer",
    "ChoiceOptions",
    "ClassifyOptions",
    "FeatureClassifier",
    "FitOptions",
    "ImageColumns",
    "SimilarOptions",
    "choose_network",
    "classify_images",
    "fit_cache",
    "fit_classifier",
    "load_classifier",
    "next_images",
    "save_classifier",
    "similar_images",
]

_HOMES = {
    "SimilarOptions": "fc7.classify.similar.similar",
    "ImageColumns": "fc7.classify.image_columns",
    "ClassifyOptions": "fc7.classify.predict.options",
    "CachedLayer": "fc7.classify.fit.from_cache",
    "FeatureClassifier": "fc7.classify.fit.estimator",
    "ChoiceOptions": "fc7.classify.network_choice.choose_network",
    "FitOptions": "fc7.classify.fit.fit",
    "choose_network": "fc7.classify.network_choice.choose_network",
    "classify_images": "fc7.classify.predict.predict",
    "fit_classifier": "fc7.classify.fit.fit",
    "fit_cache": "fc7.classify.fit.from_cache",
    "load_classifier": "fc7.classify.classifier.artifact",
    "next_images": "fc7.classify.active_learning.next_images",
    "save_classifier": "fc7.classify.classifier.artifact",
    "similar_images": "fc7.classify.similar.similar",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: the command line's help must not wait for NumPy and scikit-learn.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fc7.classify' has no attribute {name!r}")
