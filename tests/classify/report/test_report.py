"""The report as a reader meets it: all of it is there, true, escaped, and nothing comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.metrics.metrics import compute_metrics
from fc7.classify.report import make
from fc7.extract.cache.reader import load_features
from tests.support import CommandLine, write_pictures
from tests.support.classify.report_support import CONTROL, HOSTILE, QUOTES, SCRIPT, Page, hostile_set

SECTIONS = [
    "headline",
    "next",
    "data",
    "confusion",
    "mistakes",
    "suspects",
    "trust",
    "tuning",
    "map",
    "duplicates",
]
SECTIONS += ["failures", "provenance"]


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("report")).with_tiny_network()
    hostile_set(here)
    here.incomplete("extract", "--labels", "labels.csv", "--network", "tiny", "--quiet")
    here.good("fit", "--force", "--softmax", "--quiet")
    here.good("report", "--plots", "drawn")
    return here


@pytest.fixture(scope="module")
def page(cli: CommandLine) -> Page:
    return Page(cli.folder / "report.html")


def test_every_section_is_there_and_linked(page: Page) -> None:
    assert [e.attributes["id"] for e in page.all("section") if "aria-label" not in e.attributes] == SECTIONS
    links = [e.attributes["href"] for e in page.all("a") if e.attributes["href"].startswith("#")]
    assert [f"#{name}" for name in SECTIONS] == links[: len(SECTIONS)]
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    assert page.unclosed == []


def test_nothing_is_loaded_and_the_only_script_is_that_of_the_map(page: Page) -> None:
    assert not page.all("link") + page.all("iframe") + page.all("object")
    script = page.one("script")
    assert script.attributes == {}
    assert script.text == (Path(make.__file__).parent / "map.js").read_text("utf-8")
    assert not re.search(r"https?:|fetch|XMLHttp|import|innerHTML|eval", script.text)
    for element in page.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on"), (element.tag, name)
            if name in ("src", "href", "xlink:href", "data", "action", "srcset"):
                assert value.startswith(("data:image/jpeg;base64,", "#")), value[:80]
    styles = "".join(e.text for e in page.all("style")) + "".join(
        e.attributes.get("style", "") for e in page.elements
    )
    assert "@import" not in styles
    assert re.findall(r"url\((?!#)", styles) == []
    # The title's class name is text; no address of any server stands in the markup.
    assert not re.search(r"https?://", page.source)
    (policy,) = (e for e in page.all("meta") if "http-equiv" in e.attributes)
    assert policy.attributes["http-equiv"] == "Content-Security-Policy"
    rules = policy.attributes["content"].split("; ")
    assert "default-src 'none'" in rules
    assert "img-src data:" in rules
    digest = base64.b64encode(hashlib.sha256(script.text.encode("utf-8")).digest()).decode("ascii")
    assert f"script-src 'sha256-{digest}'" in rules
    assert not any(rule.startswith("connect-src") for rule in rules)


def test_hostile_names_are_text_everywhere(page: Page) -> None:
    # What the browser would make of the names is elements of a tag that we never write.
    assert {e.tag for e in page.elements} & {"b", "i"} == set()
    assert len(page.all("script")) == 1
    images = page.all("img")
    assert all(set(e.attributes) == {"src", "width", "height", "alt"} for e in images)
    text = page.section("confusion")
    assert SCRIPT in text
    assert QUOTES in text
    assert CONTROL.replace("\n", "?").replace("\u202e", "?").replace("\u202c", "?") in text
    assert "{{ 7*7 }}" in text
    assert any("imgs/red'\"<b>" in e.attributes["alt"] for e in images)
    drawn = [e.text for e in page.all("text")]
    assert any(text.startswith("<script>") for text in drawn)
    assert any(text.startswith('"><img src=x') for text in drawn)


def test_every_picture_and_plot_has_words(page: Page) -> None:
    images = page.all("img")
    assert images
    assert all(e.attributes["alt"].strip() for e in images)
    plots = [e for e in page.all("svg") if "aria-hidden" not in e.attributes]
    assert len(plots) >= 3
    for plot in plots:
        assert plot.attributes["role"] == "img"
        assert len(plot.attributes["aria-label"]) > 40
    for figure in page.all("figure", class_="drawing"):
        assert figure.text.strip()
    assert page.one("html").attributes["lang"] == "en"


def test_the_headline_and_the_matrix_are_those_of_the_held_out_images(cli: CommandLine, page: Page) -> None:
    features, classifier = (
        load_features(cli.folder / "features.h5"),
        load_classifier(cli.folder / "classifier.onnx"),
    )
    assert classifier.split is not None
    test = np.flatnonzero(classifier.split.part_of(features.sha256, features.paths) == "test")
    metrics = compute_metrics(
        features.y[test], classifier.predict_proba(features.X[test]), classifier.classes_
    )
    headline = page.section("headline")
    low, high = metrics.accuracy_interval
    assert f"{metrics.accuracy:.1%}" in headline
    assert f"95% interval {low:.1%} to {high:.1%}" in headline
    assert f"{metrics.n_correct} of {metrics.n} right" in headline
    for t, row in enumerate(metrics.confusion):
        for p, n in enumerate(row):
            links = page.all("a", href=f"#c-{t}-{p}")
            assert bool(links) == bool(n)
            if n:
                assert links[0].text == str(n)
                behind = page.one("section", id=f"c-{t}-{p}")
                assert behind.attributes["class"] == "behind"


def test_what_is_wrong_with_the_data_is_named(page: Page) -> None:
    suspects = page.section("suspects")
    first = suspects.index("looks the same as imgs/")
    assert first < suspects.index("imgs/flip.png")
    duplicates = page.section("duplicates")
    assert "2 images lie in 1 groups" in duplicates or "labels differ" in duplicates
    assert "copy.png" in duplicates
    advice = page.section("next")
    assert "1 group of look-alikes has different labels" in advice
    assert "duplicates features.h5" in advice
    assert "suspects features.h5 --csv fixes.csv" in advice
    failures = page.section("failures")
    assert "1 of 39 images could not be read" in failures
    assert "broken<i>.png" in failures


def test_provenance_says_how_to_have_it_again(cli: CommandLine, page: Page) -> None:
    text = page.section("provenance")
    features = load_features(cli.folder / "features.h5")
    for needed in (features.fingerprint, "tiny", "seed 0", "CPUExecutionProvider", "scikit-learn", "numpy"):
        assert needed in text, needed
    assert "fc7 report --plots drawn" in text
    assert not re.search(r"stratified|n train|test size|CPUExecutionProvider,? precision", text)
    counts = load_classifier(cli.folder / "classifier.onnx").metadata["split"]
    assert isinstance(counts, dict)
    assert f"{counts['n_train']} images train and {counts['n_test']} test" in text
    assert features.identity.preprocess.describe() in text


def test_thumbnails_are_small_pictures_of_the_right_images(page: Page) -> None:
    seen = set()
    for image in page.all("img"):
        data = base64.b64decode(image.attributes["src"].partition(",")[2])
        picture = Image.open(io.BytesIO(data))
        assert picture.format == "JPEG"
        assert max(picture.size) <= 112
        mean = np.asarray(picture, float).mean(axis=(0, 1))
        colour = next((c for c in ("red", "green", "blue") if f"imgs/{c}'" in image.attributes["alt"]), None)
        if colour is not None:
            assert mean.argmax() == ("red", "green", "blue").index(colour)
            seen.add(colour)
    assert seen == set(HOSTILE)


def test_names_of_files_are_whole(page: Page) -> None:
    names = page.all("span", class_="file", title="imgs/red'\"<b>00.png")
    assert names
    assert {e.text for e in names} == {"imgs/red'\"<b>00.png"}


def test_plots_are_written_as_png_and_svg(cli: CommandLine) -> None:
    drawn = sorted(path.name for path in (cli.folder / "drawn").iterdir())
    for name in ("classes", "confusion", "coverage", "map", "tuning"):
        assert f"{name}.png" in drawn
        assert f"{name}.svg" in drawn
    with Image.open(cli.folder / "drawn/confusion.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
    svg = (cli.folder / "drawn/classes.svg").read_text("utf-8")
    assert "var(--" not in svg
    assert "#0a0a" not in svg
    assert "<script" not in svg


def test_moved_and_changed_images_get_no_wrong_picture(cli: CommandLine, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(cli.folder / "imgs", moved / "imgs")
    green = sorted((moved / "imgs").glob("green*"))
    for changed, removed in zip(green[::2], green[1::2], strict=True):
        Image.new("RGB", (40, 40), "black").save(changed)
        removed.unlink()
    out = tmp_path / "r.html"
    ran = cli.good("report", "--force", "-o", out, "--images", moved)
    assert "pictures are missing" in ran.err
    assert "give the place of moved images with --images" in ran.err
    page = Page(out)
    assert page.all("img")
    missing = [e.text for e in page.all("span", class_="none")]
    assert set(missing) == {"changed since it was read", "not found"}
    named = [e.attributes["aria-label"] for e in page.all("span", class_="none")]
    assert all("green" in text for text in named)
    assert not any("green" in e.attributes["alt"] for e in page.all("img"))

    ran = cli.good("report", "--force", "-o", out, "--images", tmp_path / "nowhere")
    assert "no pictures" in ran.err
    page = Page(out)
    assert not page.all("img")
    assert "No pictures:" in page.section("data")
    assert SCRIPT in page.section("confusion")


def test_relative_roots_are_found_beside_the_cache_too(cli: CommandLine, tmp_path: Path) -> None:
    away = CommandLine(tmp_path)
    ran = away.good("report", cli.folder / "features.h5", "-m", cli.folder / "classifier.onnx")
    assert "missing" not in ran.err
    assert "no pictures" not in ran.err


def test_a_refitted_classifier_is_not_evaluated_on_what_it_has_seen(cli: CommandLine, tmp_path: Path) -> None:
    cli.good("fit", "--force", "--softmax", "--refit-all", "-o", "all.onnx", "--quiet")
    cli.good("report", "-m", "all.onnx", "-o", tmp_path / "r.html", "--tsne", "--quiet")
    page = Page(tmp_path / "r.html")
    assert "before the classifier was refitted" in page.section("headline")
    assert f"{load_classifier(cli.folder / 'all.onnx').metadata['metrics']['n_correct']} of" in (  # type: ignore[index]
        page.section("headline")
    )
    assert "t-SNE" in page.section("map")


def test_new_labelled_images_and_unlabelled_ones(cli: CommandLine, tmp_path: Path) -> None:
    here = CommandLine(tmp_path)
    here.store = cli.store
    write_pictures(here.folder / "new", per_class=3, start=50)
    here.good("extract", "new", "--network", "tiny", "--quiet")
    ran = here.good("report", "-m", cli.folder / "classifier.onnx", "--quiet")
    assert ran.text == ""
    page = Page(here.folder / "report.html")
    assert "labelled images that fit did not have" in page.section("headline")
    assert "Labels that the classifier does not know" in page.one("header").text

    (here.folder / "flat").mkdir()
    for i, path in enumerate(sorted((here.folder / "new").rglob("*.png"))):
        shutil.copy(path, here.folder / f"flat/{i}.png")
    here.good("extract", "flat", "--network", "tiny", "-o", "flat.h5", "--quiet")
    here.good("report", "flat.h5", "-m", cli.folder / "classifier.onnx", "-o", "flat.html")
    page = Page(here.folder / "flat.html")
    assert "No image in this feature cache has a label" in page.section("data")
    assert "held out" in page.section("headline")


def test_wrong_calls_say_what_is_needed(cli: CommandLine, tmp_path: Path) -> None:
    assert cli("report", "none.h5").code == 2
    assert cli("report", "-m", "none.onnx").code == 2
    ran = cli("report", "-o", "features.h5/report.html")
    assert ran.code == 2
    assert "cannot be written" in ran.err
    block = tmp_path / "block"
    (block / "matplotlib").mkdir(parents=True)
    (block / "matplotlib/__init__.py").write_text(
        "raise ModuleNotFoundError('No module named matplotlib', name='matplotlib')"
    )
    ran = cli("report", "--force", env={"PYTHONPATH": str(block)})
    assert ran.code == 2
    assert " -m pip install 'fc7[report]'" in ran.err
