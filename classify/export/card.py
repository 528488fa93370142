"""A model card: what a classifier is, what it learned from, how good it is and where it ends, in Markdown.

After Mitchell et al. 2019, "Model Cards for Model Reporting", section 4. Everything on it is read from
classifier.onnx; what was not recorded is said to be so, and what only people know is left for them to add.

`skops.card` (0.16) takes 4.2 s of processor time to import, and is an extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.leakage import Leakage
from fc7.classify.export.card_metrics import MISSING, is_number, mapping, metrics_text
from fc7.classify.export.markdown import plain, table
from fc7.classify.kinds import CARD, card_end
from fc7.classify.predict.networks import stored_network
from fc7.classify.predict.same_truth import corrections_in_words, corrections_recorded
from fc7.models.catalog.catalog import entry, names
from fc7.models.common.durable import explained
from fc7.models.common.terminal import counted
from fc7.models.network.spec import PreprocessSpec
from fc7.models.outputs.outputs import Destination, claimed

# Below so many test images a class's recall has an interval about 30 points wide or wider, whatever it is
# (Wilson's, 9 of 9 right: 70 % to 100 %).
_FEW = 10


def write_card(classifier: Classifier, out: Destination) -> Path:
    """Write the card of a classifier; the licence comes from the store or the catalogue of networks.

    Raises
    ------
    UsageError
        If something else stands there: a card that somebody added to is theirs.
    Fc7Error
        If it cannot be written.
    """
    out = claimed(out, CARD, "--card")
    text = card_text(classifier, _licence(classifier)).encode("utf-8", "replace")
    with explained(out.path, out.option):
        return out.write(text + card_end(text))


def _licence(classifier: Classifier) -> str:
    """The terms of the network's weights; empty where nobody recorded them.

    Of a network that is not in the store only the name is known: the catalogue's terms are said to be that.
    """
    found = stored_network(classifier.identity)
    if found is not None:
        return found[1].licence
    name = classifier.identity.network
    return f"{entry(name).licence}, as the catalogue says of its {name}" if name in names() else ""


def card_text(classifier: Classifier, licence: str = "") -> str:
    """The card.

    Parameters
    ----------
    classifier : Classifier
        Its `metadata` is what `classify.fit.result.FitResult.record` gives; any part may be missing.
    licence : str
        Of the network's weights; empty if not known.
    """
    made = dict(classifier.metadata)
    metrics = mapping(made, "metrics")
    sections = [
        ("What it is", _what(classifier, licence)),
        ("What it is for", _purpose(classifier)),
        ("What its metrics depend on", _factors(classifier, made)),
        ("How it was evaluated", _method(classifier, made, metrics)),
        ("Images it was trained and tested on", _data(made)),
        ("Metrics", metrics_text(metrics)),
        ("Before it decides about people", _people()),
        ("Limits", _limits(classifier, made, metrics)),
        ("Where it comes from", _provenance(classifier, made)),
    ]
    lines = [f"# An image classifier of {len(classifier.classes_)} classes"]
    for title, body in sections:
        lines += ["", f"## {title}", "", *body]
    return "\n".join(lines) + "\n"


def _what(classifier: Classifier, licence: str) -> list[str]:
    identity = classifier.identity
    head = {
        "svm": "a linear support vector machine, one class against the rest",
        "svm-ovo": f"{len(classifier.coef_)} linear support vector machines, one for each pair of classes, "
        "that vote",
        "softmax": "multinomial logistic regression",
    }[classifier.head]
    network = f"layer {plain(identity.layer)} of {plain(identity.network)}" if identity.network else MISSING
    rows = [
        ("classifier", f"{head}, C = {classifier.C:g}"),
        ("features", f"{network}, {classifier.n_features} numbers an image, not trained further"),
        ("normalisation", classifier.normalizer.kind),
        ("network's weights", "trained" if identity.trained else "**random**: for trying the tool only"),
        ("licence of the weights", plain(licence) if licence else "not known"),
    ]
    return table(("what", "value"), rows, "ll")


def _purpose(classifier: Classifier) -> list[str]:
    named = ", ".join(plain(name) for name in classifier.classes_)
    if classifier.reject_below > 0:
        other = (
            f"An image whose largest probability is below {classifier.reject_below:.3f} is labelled "
            f"{plain(classifier.rejection_label)}."
        )
    else:
        other = "Every image gets one of these classes, also one that shows none of them."
    return [
        f"To tell {len(classifier.classes_)} classes of images apart: {named}.",
        "",
        f"{other} It was not made to find where in an image something is, to count, or for images taken in "
        "another way than those it learned from.",
    ]


def _factors(classifier: Classifier, made: Mapping[str, Any]) -> list[str]:
    novelty = mapping(made, "novelty")
    lines = [
        "Metrics are given class by class. Light, camera, place and season were not recorded, so nothing "
        "can be said of them: evaluate it on images of your own (`fc7 evaluate`) where they differ."
    ]
    if classifier.novelty is not None:
        share = novelty.get("false_alarm_rate")
        usual = f" (about {share:.1%} of images like these)" if is_number(share) else ""
        lines.append(
            f"An image unlike the training images gets a novelty score above 1{usual}; its prediction is "
            "then worth little, whatever its probability."
        )
    return lines


def _method(classifier: Classifier, made: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    lines = [
        "- accuracy: share of the test images whose most probable class is right",
        "- mean class recall: the mean of each class's share, however many images it has",
        "- intervals: Wilson's, 95%, for test images drawn at random from those to come",
        f"- probabilities: calibration {plain(str(made.get('calibration', MISSING)))}, "
        f"scale {classifier.scale:.4g}",
    ]
    rejection = mapping(made, "rejection")
    if classifier.reject_below > 0 and is_number(rejection.get("n")):
        lines.append(
            f"- threshold {classifier.reject_below:.3f}: of {rejection['n']} training images predicted out "
            f"of fold it accepts {rejection.get('n_accepted')}, {rejection.get('n_correct')} of them right"
        )
    if not metrics:
        lines.append("- it was not evaluated, or the metrics were not recorded")
    return lines


def _data(made: Mapping[str, Any]) -> list[str]:
    split = mapping(made, "split")
    how = {"stratified": "drawn within each class", "column": "given with the data"}
    text = how.get(str(split.get("how")), MISSING)
    if "seed" in split:
        text += f" (share {split.get('test_size')}, seed {split['seed']})"
    counts = [
        (plain(str(label)), *(str(n) for n in parts))
        for label, parts in mapping(made, "counts").items()
        if isinstance(parts, list) and len(parts) == 2
    ]
    n_train, n_test = split.get("n_train"), split.get("n_test")
    lines = [f"Split: {text}.", ""]
    recorded = corrections_recorded(made)
    if recorded is not None:
        lines += [f"Corrections of the labels: {plain(corrections_in_words(recorded))}.", ""]
    if counts:
        lines += table(
            ("class", "learned from", "tested on"), [*counts, ("all classes", str(n_train), str(n_test))]
        )
    else:
        lines.append(f"Images of each class: {MISSING}.")
    return [*lines, "", *_copies(mapping(made, "duplicates"))]


def _copies(found: Mapping[str, Any]) -> list[str]:
    if not is_number(found.get("groups")):
        return ["Near-duplicates were not searched for, or what was found was not recorded."]
    groups = counted(int(found["groups"]), "group")
    lines = [
        f"Near-duplicates: {groups} of {found.get('images')} images "
        f"({found.get('exact_copies')} exact copies); a split that was drawn keeps each on one side."
    ]
    leak = Leakage.from_json(found)
    if leak is not None:
        lines.append(f"Accuracy with copies on both sides of the split: {leak.both_sides.describe()}.")
        if leak.one_side.n:
            drawn = leak.how == "redrawn"
            of = "with each picture on one side" if drawn else "of test images without a copy in training"
            lines.append(f"Accuracy {of}: {leak.one_side.describe()}; {leak.comparison}.")
    return lines


def _people() -> list[str]:
    return [
        "The file does not know who or what the images show, whether those shown agreed, or what a wrong "
        "prediction costs. Add that here before you pass the file on. A network that was trained on ImageNet "
        "sees with that collection's choice of pictures and words."
    ]


def _limits(classifier: Classifier, made: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    lines = ["- The intervals hold for images like the test images, and for no others."]
    if not classifier.identity.trained:
        lines.append("- The network's weights are random: the metrics say nothing about a trained one.")
    few = [each for each in metrics.get("classes", []) if 0 < int(each["support"]) < _FEW]
    if few:
        lines.append(
            f"- {len(few)} of {len(metrics['classes'])} classes were tested on fewer than {_FEW} images "
            "each; the intervals of their recall are about 30 points wide at best."
        )
    if made.get("refit") == "all":
        lines.append(
            "- The classifier in the file was fitted again on all images, those of the test set too; the "
            "metrics are those of the one fitted without them."
        )
    notes = made.get("notes", [])
    lines += [f"- {plain(str(note))}" for note in notes if isinstance(notes, list)]
    return lines


def _provenance(classifier: Classifier, made: Mapping[str, Any]) -> list[str]:
    identity = classifier.identity
    rows = [
        (
            "fingerprint of the features",
            f"`{plain(identity.fingerprint)}`" if identity.fingerprint else MISSING,
        ),
        ("pooling of maps", identity.pool),
        ("images are prepared so", _described(identity.preprocess)),
        *((plain(str(name)), plain(str(value))) for name, value in mapping(made, "versions").items()),
    ]
    return [*table(("what", "value"), rows, "ll"), "", "Written by fc7 from the metadata of classifier.onnx."]


def _described(preprocess: str) -> str:
    try:
        return plain(PreprocessSpec.from_json(preprocess).describe())
    except (ValueError, TypeError, KeyError):
        return MISSING
