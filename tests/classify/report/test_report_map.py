"""The map of the features and the matrix of many classes, as the page has them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fc7.classify.metrics.metrics import compute_metrics
from fc7.classify.report import image_grids
from fc7.classify.report.evaluated import EvaluatedImages
from fc7.classify.report.feature_map import HEIGHT, MOST_MISTAKES, MOST_PICTURES, WIDTH, map_points
from fc7.classify.report.page import render_page
from fc7.classify.report.plots import marker_of
from fc7.classify.report.report_data import Projection, ReportData
from tests.support.classify.report_support import Page


def evaluated(truth: list[int], predicted: list[int], rows: list[int], K: int) -> EvaluatedImages:
    """Images whose predictions have probability 0.9."""
    classes = tuple(str(k) for k in range(K))
    P = np.full((len(truth), K), 0.1 / (K - 1))
    P[np.arange(len(truth)), predicted] = 0.9
    metrics = compute_metrics([classes[t] for t in truth], P, classes)
    return EvaluatedImages(np.array(rows), np.array(truth), P, classes, metrics, "these", True)


def projected(n: int, K: int, *, first: int = 0) -> Projection:
    rng = np.random.default_rng(0)
    return Projection(rng.normal(size=(n, 2)), np.arange(n) % K, np.arange(n) + first, n, "PCA", 0.5)


def test_points_say_which_image_they_are_and_mistakes_lie_on_top() -> None:
    found = Projection(np.array([[0, 0], [2, 1], [1, 3]]), np.array([0, 1, 1]), np.arange(3), 3, "PCA", None)
    said = evaluated([0, 1], [1, 1], [0, 2], 2)
    points = map_points(found, ["a.png", "b.png", "c.png"], ["0", "1"], said)
    assert [(p.path, p.text, p.wrong) for p in points] == [
        ("b.png", "labelled 1", False),
        ("c.png", "labelled 1, predicted 1, 90.0%", False),
        ("a.png", "labelled 0, predicted 1, 90.0%", True),
    ]
    # The margin is 12; the first axis runs from left to right, the second upwards.
    assert [(p.x, p.y) for p in points] == [
        (WIDTH - 12, pytest.approx(12 + (HEIGHT - 24) * 2 / 3)),
        (WIDTH / 2, 12),
        (12, HEIGHT - 12),
    ]


@pytest.mark.parametrize(("n", "n_wrong"), [(50, 3), (1000, 10), (1000, 350)])
def test_pictures_of_the_map_are_bounded_and_repeatable(n: int, n_wrong: int) -> None:
    paths = [f"{i}.png" for i in range(n)]
    truth = [i % 2 for i in range(n_wrong)]
    said = evaluated(truth, [1 - t for t in truth], list(range(n_wrong)), 2)
    one, two = (map_points(projected(n, 2), paths, ["0", "1"], said) for _ in range(2))
    assert one == two
    assert sum(p.pictured for p in one) == min(n, MOST_PICTURES)
    assert sum(p.pictured and p.wrong for p in one) == min(n_wrong, MOST_MISTAKES)


def test_equal_coordinates_stay_on_the_map() -> None:
    flat = Projection(np.zeros((3, 2)), np.zeros(3, np.intp), np.arange(3), 3, "PCA", 0.0)
    assert {(p.x, p.y) for p in map_points(flat, ["a", "b", "c"], ["0"], None)} == {(12.0, HEIGHT - 12.0)}


def test_48_classes_differ_in_colour_or_shape() -> None:
    assert len({(k % 8, marker_of(k)) for k in range(48)}) == 48


def page_of(said: EvaluatedImages, folder: Path) -> Page:
    """A page with nothing but the metrics of some images and their map."""
    n = len(said.rows)
    paths = [f"{i}.png" for i in range(n)]
    found = projected(n, len(said.labels))
    # The tables of the page are empty, its numbers 0, what does not exist None.
    empty = {"tuple": (), "dict": {}, "int": 0}
    given: dict[str, Any] = {f.name: empty.get(str(f.type).partition("[")[0]) for f in fields(ReportData)}
    given |= {"classes": said.labels, "metrics": said.metrics, "cells": image_grids.cells(said, paths)}
    given |= {"map": found, "map_points": map_points(found, paths, said.labels, said)}
    html = render_page(ReportData(**given), {}, {"confusion": "<svg></svg>"}, {"confusion": "c", "map": "m"})
    (folder / "page.html").write_text(html, "utf-8")
    return Page(folder / "page.html")


def test_the_matrix_of_few_classes_has_all_of_them_by_name(tmp_path: Path) -> None:
    page = page_of(evaluated([0, 1, 2, 3, 4], [0, 1, 2, 3, 3], list(range(5)), 5), tmp_path)
    heads = [e.text for e in page.all("th", scope="col")][:7]
    assert heads == ["truth", "0", "1", "2", "3", "4", "recall"]
    assert "with the most mistakes" not in page.section("confusion")
    assert page.one("ul", class_="confusions")  # and no list's numbers beside names that may be numbers


def test_the_matrix_of_many_classes_has_the_most_confused_and_counts_the_others(tmp_path: Path) -> None:
    # Of 200 classes, class 7 is taken for 9 three times and for 150 once; the others are right, but that
    # each of 20 to 40 is taken for its neighbour once.
    truth = [*range(200), 7, 7, 7, 7, *range(20, 41)]
    predicted = [*range(200), 9, 9, 9, 150, *range(21, 42)]
    page = page_of(evaluated(truth, predicted, list(range(len(truth))), 200), tmp_path)
    heads = [e.text for e in page.all("th", scope="col")]
    assert heads[0] == "truth"
    assert heads[21:23] == ["other classes", "recall"]
    assert {"7", "9"} <= set(heads[1:21])
    assert "These are the 20 of 200 classes with the most mistakes" in page.section("confusion")
    assert page.one("a", href="#c-7-9", title="7 taken for 9: 3").text == "3"
    ids = {e.attributes["id"] for e in page.elements if "id" in e.attributes}
    links = {e.attributes["href"][1:] for e in page.all("a")}
    assert links <= ids
    row = page.source.partition("<bdi>7</bdi></th>")[2].partition("</tr>")[0]
    assert '<td class="recall">1</td>' in row  # taken for 150
    assert "Of 200 classes some look alike" in page.section("map")
    assert len(page.all("use")) == len(truth) + 200
