"""McNemar's test against published cases and SciPy; `compare` on images that neither has learned from."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from fc7.classify.metrics.mcnemar import difference_interval, mcnemar
from tests.support import CommandLine, lines_of, read_json, tiny_network, write_pictures


def test_the_published_case_of_the_airways() -> None:
    # Fagerland, Lydersen & Laake 2013, BMC Medical Research Methodology 13:91, section "Examples": airway
    # hyper-responsiveness before and after stem cell transplantation, discordant 1 and 7 of 21: exact
    # p = 0.070, mid-p = 0.039.
    found = mcnemar(1, 7)
    assert found.p_value == pytest.approx(2 * (1 + 8) / 2**8)
    assert found.p_value == pytest.approx(0.070, abs=5e-4)
    assert found.mid_p == pytest.approx(0.039, abs=5e-4)


def test_the_published_interval_of_the_prime_ministers_approval() -> None:
    # Agresti, Categorical Data Analysis, table 10.1: 794, 150, 86, 570 of 1600; interval -0.06 to -0.02.
    assert difference_interval(150, 86, 1600) == pytest.approx((-0.06, -0.02), abs=0.005)
    assert mcnemar(150, 86).p_value == pytest.approx(binomtest(86, 236).pvalue)


@settings(max_examples=100, deadline=None)
@given(b=st.integers(0, 2000), c=st.integers(0, 2000))
@example(b=21, c=1054)
def test_the_exact_test_is_the_binomial_one(b: int, c: int) -> None:
    found = mcnemar(b, c)
    # In whole numbers: SciPy's tails underflow to 0 from about 1e-280 on.
    tail = Fraction(sum(comb(b + c, k) for k in range(min(b, c) + 1)), 2 ** (b + c))
    assert found.p_value == pytest.approx(float(min(2 * tail, Fraction(1))), rel=1e-8, abs=1e-307)
    assert 0 <= found.mid_p <= found.p_value <= 1
    assert mcnemar(c, b).p_value == found.p_value


@pytest.mark.parametrize(("b", "c", "mid_p"), [(0, 0, 0.5), (2, 2, 1 - 6 / 32), (0, 5, 1 / 32), (0, 1, 0.5)])
def test_the_mid_p_worked_out_by_hand(b: int, c: int, mid_p: float) -> None:
    assert mcnemar(b, c).mid_p == pytest.approx(mid_p)


@settings(max_examples=50, deadline=None)
@given(b=st.integers(0, 50), c=st.integers(0, 50), same=st.integers(1, 50))
def test_the_interval_of_the_difference_holds_it_or_nearly(b: int, c: int, same: int) -> None:
    n = b + c + same
    low, high = difference_interval(b, c, n)
    assert -1 <= low <= high <= 1
    # Half an image in each cell draws the middle towards 0 by at most 2 / (n + 2).
    assert low - 2 / (n + 2) <= (c - b) / n <= high + 2 / (n + 2)


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Two networks' caches of the same pictures, and classifiers of both."""
    here = CommandLine(tmp_path_factory.mktemp("compare")).with_tiny_network()
    write_pictures(here.folder / "imgs", 10)
    write_pictures(here.folder / "new", 4, start=100)
    other = tiny_network(here.folder / "other.onnx", seed=1)
    here.good("models", "import", other, "--as", "other", "--preprocess", "caffe", "--layer", "embedding")
    for network in ("tiny", "other"):
        here.good("extract", "imgs", "--network", network, "-o", f"{network}.h5")
        here.good("fit", "--force", f"{network}.h5", "--svm", "-C", "1", "-o", f"{network}-c.onnx")
    # One that has learned the wrong colours: blue is called green.
    write_pictures(here.folder / "odd", 10)
    (here.folder / "odd" / "green").rename(here.folder / "odd" / "mint")
    (here.folder / "odd" / "blue").rename(here.folder / "odd" / "green")
    here.good("extract", "odd", "--network", "tiny", "-o", "odd.h5")
    here.good("fit", "--force", "odd.h5", "--svm", "-C", "1", "-o", "odd-c.onnx")
    return here


def test_the_worse_one_is_found_on_new_images(cli: CommandLine) -> None:
    ran = cli.good("compare", "odd-c.onnx", "other-c.onnx", "new", "--csv", "both.csv", "--json")
    said = read_json(ran.out)
    assert said["n"] == 12
    assert [one["n_correct"] for one in said["classifiers"]] == [4, 12]
    assert (said["only_first_correct"], said["only_second_correct"], said["both_correct"]) == (0, 8, 4)
    assert said["p_value"] == pytest.approx(2 / 2**8)
    assert said["better"] == "other-c.onnx"
    lines = lines_of(cli.folder / "both.csv")
    assert sum(line["first_correct"] != line["second_correct"] for line in lines) == 8
    assert all((line["truth"] == line["second"]) == (line["second_correct"] == "1") for line in lines)
    text = cli.good("compare", "odd-c.onnx", "other-c.onnx", "new").out
    assert "other-c.onnx is better (p = 0.0078): 8 of 12 images tell them apart" in text
    assert "known to one classifier only" in text


def test_images_that_cannot_be_read_are_named_and_in_no_figure(cli: CommandLine) -> None:
    damaged = write_pictures(cli.folder / "damaged", 2, start=200)
    (damaged / "red" / "200.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ran = cli.incomplete("compare", "tiny-c.onnx", "other-c.onnx", "damaged", "--json")
    said = read_json(ran.out)
    assert (said["n"], said["unmatched"]) == (5, 0)
    assert [failure["path"] for failure in said["failures"]] == ["red/200.png"]
    lines = cli.incomplete("compare", "tiny-c.onnx", "other-c.onnx", "damaged").out.splitlines()
    assert lines[0].startswith("tiny-c.onnx")
    skipped = next(i for i, line in enumerate(lines) if line.startswith("skipped red/200.png: "))
    rest = " ".join(line.strip() for line in lines[skipped:])
    assert "1 unreadable image is not evaluated, so the exit code is 1" in rest


def test_equals_are_not_told_apart(cli: CommandLine) -> None:
    said = read_json(cli.good("compare", "tiny-c.onnx", "tiny-c.onnx", "new", "--json").out)
    assert (said["p_value"], said["better"]) == (1.0, None)
    assert "no difference that these images could show" in said["verdict"]
    assert "fewer than 6 could not show a difference" in said["verdict"]


def test_on_the_caches_they_were_fitted_on_only_held_out_images_count(cli: CommandLine) -> None:
    ran = cli.good("compare", "tiny-c.onnx", "other-c.onnx", "tiny.h5", "--features-b", "other.h5", "--json")
    said = read_json(ran.out)
    assert (said["n"], said["seen_in_training"], said["unmatched"]) == (9, 21, 0)


def test_without_a_new_image_it_says_so(cli: CommandLine) -> None:
    cli.good("fit", "--force", "tiny.h5", "--svm", "-C", "1", "--refit-all", "-o", "all.onnx")
    ran = cli("compare", "all.onnx", "tiny-c.onnx", "tiny.h5")
    assert ran.code == 2
    assert "has learned from each of the 30 labelled images" in ran.err


def test_a_cache_of_another_network_is_refused(cli: CommandLine) -> None:
    ran = cli("compare", "tiny-c.onnx", "other-c.onnx", "tiny.h5")
    assert ran.code != 0
    assert "the classifier wants embedding of 'other'" in ran.err


def test_a_classifier_that_keeps_no_split_is_named(cli: CommandLine) -> None:
    from dataclasses import replace

    from fc7.classify.classifier.artifact import load_classifier, save_classifier

    old = replace(load_classifier(cli.folder / "tiny-c.onnx"), split=None)
    save_classifier(old, Path(cli.folder / "old.onnx"))
    out = cli.good("compare", "old.onnx", "tiny-c.onnx", "new").out
    assert "old.onnx keeps no record of what it learned from" in out
