"""The model card: what the classifier's record says, in Markdown that no class name can break."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fc7.classify.classifier.artifact import load_classifier, save_classifier
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.export.card import card_text
from fc7.classify.export.markdown import plain, table
from fc7.classify.fit.fit import fit_classifier
from fc7.classify.fit.result import FitOptions
from tests.support import ROOT, CommandLine
from tests.support.classify.blobs import blobs, fitted

# Classes that fight Markdown, tables and HTML.
HOSTILE = [
    "<script>alert(1)</script>",
    "a|b||c",
    "two\nlines",
    "[x](javascript:alert(1))",
    "**bold** _it_ `code`",
    "&lt;b&gt; \\| back\\slash",
    "# heading",
    " spaces ",
    "普通話 🦊",
]


class Page(HTMLParser):
    """The tags of a page, and the text of every table cell."""

    def __init__(self, markdown: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self._in_cell = False
        # An independent reader of Markdown, raw HTML allowed as on most sites.
        self.feed(
            MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
        )

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    X, y = blobs([14] * len(HOSTILE), 30, spread=2.5)
    labels = [HOSTILE[int(label[-1])] for label in y]
    options = FitOptions(head="svm", C=1.0, reject_below=0.4)
    return fit_classifier(X, labels, options=options).classifier


def wilson(k: int, n: int) -> tuple[float, float]:
    """The two p with |k/n - p| = 1.96 sqrt(p (1 - p) / n), by the quadratic formula."""
    z2 = 1.959963984540054**2
    a, b, c = 1 + z2 / n, -(2 * k / n + z2 / n), (k / n) ** 2
    root = (b * b - 4 * a * c) ** 0.5
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def shown(name: str) -> str:
    """A class name as the card shows it."""
    return {"two\nlines": "two\\nlines", " spaces ": "' spaces '"}.get(name, name)


def test_hostile_class_names_are_shown_and_do_nothing(classifier: Classifier) -> None:
    page = Page(card_text(classifier))
    allowed = {"h1", "h2", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code"}
    assert set(page.tags) <= allowed
    counts = next(i for i, row in enumerate(page.rows) if row == ["class", "learned from", "tested on"])
    found = page.rows[counts + 1 : counts + 1 + len(HOSTILE)]
    assert sorted(row[0] for row in found) == sorted(map(shown, HOSTILE))
    assert all(row[1:] == ["10", "4"] for row in found)
    assert page.rows[counts + 1 + len(HOSTILE)] == ["all classes", "90", "36"]


def test_the_figures_are_those_of_the_record_with_wilsons_intervals(classifier: Classifier) -> None:
    page = Page(card_text(classifier))
    made: Any = classifier.metadata
    n, right = made["metrics"]["n"], made["metrics"]["n_correct"]
    values = {row[0]: row[1:] for row in page.rows if len(row) == 2}
    low, high = wilson(right, n)
    assert values["accuracy"] == [f"{right / n:.1%} ({right} of {n}; {low:.1%} to {high:.1%})"]
    accepted = made["metrics"]["rejection"]["n_accepted"]
    low, high = wilson(accepted, n)
    share = f"{accepted / n:.1%} ({accepted} of {n}; {low:.1%} to {high:.1%})"
    assert values["accepted at the threshold"] == [share]
    assert values["Brier score"] == [f"{made['metrics']['brier']:.3f}"]
    error = made["metrics"]["expected_calibration_error"]
    assert values["expected calibration error"] == [f"{error:.3f}"]
    confusion = made["metrics"]["confusion"]
    per_class = {row[0]: row[1:] for row in page.rows if len(row) == 4}
    for i, each in enumerate(made["metrics"]["classes"]):
        low, high = wilson(confusion[i][i], 4)
        recall = f"{confusion[i][i] / 4:.1%} ({confusion[i][i]} of 4; {low:.1%} to {high:.1%})"
        assert per_class[shown(each["label"])][0] == recall
        assert per_class[shown(each["label"])][2] == "4"


def test_limits_say_what_is_weak(classifier: Classifier) -> None:
    text = card_text(classifier)
    assert "9 of 9 classes were tested on fewer than 10 images each" in " ".join(text.split())
    refit = replace(classifier, metadata={**classifier.metadata, "refit": "all"})
    assert "fitted again on all images" in card_text(refit)
    assert "fitted again on all images" not in text
    assert "below 0.400 is labelled unknown" in text
    assert "Every image gets one of these classes" in card_text(replace(classifier, reject_below=0.0))


def test_headings_are_those_of_a_model_card_in_order(classifier: Classifier) -> None:
    assert re.findall("^## (.*)$", card_text(classifier), re.M) == [
        "What it is",
        "What it is for",
        "What its metrics depend on",
        "How it was evaluated",
        "Images it was trained and tested on",
        "Metrics",
        "Before it decides about people",
        "Limits",
        "Where it comes from",
    ]


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "tests/data").glob("classifier-v*.onnx")))
def test_classifiers_of_every_format_version_have_a_card(name: str) -> None:
    text = card_text(load_classifier(ROOT / "tests/data" / name))
    assert "## Metrics" in text
    assert "not known" in text


def test_what_was_not_recorded_is_said_to_be_so() -> None:
    text = card_text(replace(fitted(), metadata={}))
    assert text.count("not recorded") >= 4
    assert "it was not evaluated" in text


def test_duplicates_are_told_where_they_were_counted() -> None:
    classifier = fitted()
    counted = {"how": "auto", "groups": 3, "images": 8, "exact_copies": 2}
    counted |= {"leaky": 0.93, "clean": 0.81, "n_leaky": 100, "n_clean": 100, "leaky_split": "redrawn"}
    counted |= {"straddling": 5, "straddling_correct": 5}
    text = card_text(replace(classifier, metadata={**classifier.metadata, "duplicates": counted}))
    assert "3 groups of 8 images (2 exact copies)" in text
    # Intervals of scipy 1.17.1: binomtest(93, 100).proportion_ci(method="wilson"), and of 81.
    assert "with copies on both sides of the split: 93.0% (93 of 100; 95% interval 86.3% to 96.6%)." in text
    assert (
        "with each picture on one side: 81.0% (81 of 100; 95% interval 72.2% to 87.5%); the difference is "
        "within the noise of 100 images."
    ) in text
    counted |= {"clean": None, "n_clean": 0, "leaky_split": "given"}
    text = card_text(replace(classifier, metadata={**classifier.metadata, "duplicates": counted}))
    assert "with copies on both sides of the split: 93.0%" in text
    assert "noise" not in text


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_any_text_is_one_cell_that_shows_it(text: str) -> None:
    page = Page("\n".join(table(("name", "n"), [(plain(text), "1")])))
    assert set(page.tags) == {"table", "thead", "tbody", "tr", "th", "td"}
    (found, n) = page.rows[1]
    assert n == "1"
    if text.isprintable() and text == text.strip():
        assert found == text


def test_the_command_takes_the_licence_of_the_network(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    classifier = fitted()
    save_classifier(classifier, tmp_path / "classifier.onnx")
    ran = cli.good("export", "--card", "card.md")
    assert ran.out.strip() == "wrote card.md"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.md", "classifier.onnx"]
    # Its network is called alexnet; the catalogue knows BVLC's terms.
    from fc7.models.catalog.catalog import entry

    assert plain(entry("alexnet").licence) in (tmp_path / "card.md").read_text("utf-8")
