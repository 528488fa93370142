"""The parts of a report one by one: pictures from every kind of source, sheets, maps, SVG in a page."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fc7.classify.metrics.metrics import compute_metrics
from fc7.classify.report import image_grids
from fc7.classify.report.canvas import figure_of, render, share_axis
from fc7.classify.report.evaluated import EvaluatedImages
from fc7.classify.report.palette import LIGHT, stand_ins, variables
from fc7.classify.report.plots import draw_classes, draw_confusion, shade
from fc7.classify.report.projection import MOST_POINTS, project
from fc7.classify.report.report_data import ClassCount
from fc7.classify.report.svg import inline
from fc7.classify.report.thumbnails import SIDE, find_originals, make_thumbnails
from fc7.extract.images.decode import shrink
from fc7.models.common.errors import ImageError
from fc7.models.common.names import shortened
from tests.support import coloured_picture
from tests.support.classify.report_support import HOSTILE, Page


def png(colour: str, index: int = 0, side: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(coloured_picture(colour, index, side)).save(buffer, "PNG")
    return buffer.getvalue()


def mean_colour(jpeg: bytes) -> int:
    with Image.open(io.BytesIO(jpeg)) as picture:
        return int(np.asarray(picture, float).mean(axis=(0, 1)).argmax())


def test_pictures_come_out_of_folders_archives_and_arrays(tmp_path: Path) -> None:
    red = png("red")
    (tmp_path / "imgs/red").mkdir(parents=True)
    (tmp_path / "imgs/red/0.png").write_bytes(red)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("red/0.png", red)
    array = np.stack([coloured_picture("green", i) for i in range(3)])
    np.save(tmp_path / "signs.npy", array)
    digest = hashlib.sha256(red).hexdigest()
    for root in ("imgs", "set.zip"):
        found = find_originals([str(tmp_path / root)], [], tmp_path / "features.h5")
        assert list(found.refs) == ["red/0.png"]
        assert mean_colour(make_thumbnails(found, [(7, "red/0.png", digest)])[7].jpeg) == 0
    found = find_originals(["signs.npy"], [], tmp_path / "features.h5")  # beside the cache
    path = list(found.refs)[1]
    made = make_thumbnails(found, [(1, path, hashlib.sha256(array[1].tobytes()).hexdigest())])
    assert mean_colour(made[1].jpeg) == 1
    wrong = make_thumbnails(found, [(1, path, hashlib.sha256(array[0].tobytes()).hexdigest())])
    assert (wrong[1].jpeg, wrong[1].reason) == (b"", "changed since it was read")


def test_two_sources_keep_the_names_of_their_joint_listing(tmp_path: Path) -> None:
    (tmp_path / "imgs/red").mkdir(parents=True)
    (tmp_path / "imgs/red/0.png").write_bytes(png("red"))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("blue/0.png", png("blue"))
    found = find_originals(["imgs", "more.zip"], [], tmp_path / "features.h5")
    assert sorted(found.refs) == ["imgs/red/0.png", "more.zip/blue/0.png"]


def test_what_cannot_be_decoded_says_so_in_its_place(tmp_path: Path) -> None:
    broken = png("red")[:-20]
    (tmp_path / "a.png").write_bytes(broken)
    found = find_originals([str(tmp_path)], [], tmp_path / "features.h5")
    made = make_thumbnails(found, [(0, "a.png", hashlib.sha256(broken).hexdigest()), (1, "b.png", "00")])
    assert made[0].jpeg == b""
    assert "PNG" in made[0].reason or "truncated" in made[0].reason or "cut" in made[0].reason
    assert made[1].reason == "not found"


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(400, 200, (112, 56)), (200, 400, (56, 112)), (1000, 3, (112, 1)), (20, 30, (20, 30))],
)
def test_a_thumbnail_keeps_the_shape_and_never_grows(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    assert shrink(pixels, SIDE).shape == (*expected, 3)
    assert shrink(buffer.getvalue(), SIDE).shape == (*expected, 3)


def test_a_thumbnail_is_close_to_pillows() -> None:
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize(
        (640, 480), Image.Resampling.BICUBIC
    )
    buffer = io.BytesIO()
    coarse.save(buffer, "JPEG", quality=95)
    reference = Image.open(io.BytesIO(buffer.getvalue())).resize((112, 84), Image.Resampling.BILINEAR)
    made = shrink(buffer.getvalue(), 112)
    assert made.shape == (84, 112, 3)
    assert np.abs(made.astype(int) - np.asarray(reference, int)).mean() < 2


def test_a_thumbnail_of_no_picture_is_an_image_error() -> None:
    with pytest.raises(ImageError):
        shrink(b"no picture", SIDE)


def evaluated(n: int = 60, K: int = 3, seed: int = 0) -> EvaluatedImages:
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(K), n)
    classes = tuple(f"c{k}" for k in range(K))
    truth = rng.integers(0, K, n)
    metrics = compute_metrics([classes[t] for t in truth], P, classes)
    return EvaluatedImages(np.arange(n) + 100, truth, P, classes, metrics, "these", True)


def test_cells_and_mistakes_are_the_images_behind_the_metrics() -> None:
    found, paths = evaluated(), [f"{i}.png" for i in range(200)]
    behind = image_grids.cells(found, paths)
    for t in range(3):
        for p in range(3):
            expected = {
                100 + i for i in range(60) if found.truth[i] == t and found.probabilities[i].argmax() == p
            }
            assert behind[t, p].n == len(expected) == found.metrics.confusion[t, p]
            shown = [shown.row for shown in behind[t, p].images]
            assert set(shown) <= expected
            assert len(shown) == min(len(expected), 4 if t == p else 12)
            named = {int(path.removesuffix(".png")) for path in behind[t, p].others}
            assert named <= expected - set(shown)
            assert len(named) == min(20, len(expected) - len(shown))
    wrong = [i for i in range(60) if found.truth[i] != found.probabilities[i].argmax()]
    wrong.sort(key=lambda i: -found.probabilities[i].max())
    assert [shown.row - 100 for shown in image_grids.mistakes(found, paths)] == wrong[
        : image_grids.MOST_MISTAKES
    ]
    first = image_grids.mistakes(found, paths)[0]
    assert first.text == (
        f"c{found.truth[wrong[0]]} taken for c{found.probabilities[wrong[0]].argmax()}, "
        f"{found.probabilities[wrong[0]].max():.1%}"
    )


def test_a_report_shows_a_bounded_number_of_images() -> None:
    found = evaluated(5000, 60)
    behind = image_grids.cells(found, [f"{i}.png" for i in range(6000)])
    assert sum(sheet.n for sheet in behind.values()) == 5000
    shown = sum(len(sheet.images) for sheet in behind.values())
    assert shown <= image_grids.MOST_WRONG + image_grids.MOST_RIGHT
    labels = [f"c{i % 300:03}" for i in range(3000)]
    some = image_grids.samples(labels, np.arange(3000), [str(i) for i in range(3000)])
    assert sum(len(sheet.images) for sheet in some) <= image_grids.MOST_SAMPLES
    for sheet in some:
        assert {int(shown.path) % 300 for shown in sheet.images} == {int(sheet.title[1:])}


def test_groups_that_disagree_come_first() -> None:
    labels = ["a", "a", "a", "a", "b", "", "a"]
    shown, disagreeing = image_grids.groups([[0, 1, 2], [3, 4], [5, 6]], labels, [f"{i}" for i in range(7)])
    assert disagreeing == 1
    assert [sheet.title for sheet in shown] == ["labels differ", "one label", "one label"]
    assert [s.text for s in shown[0].images] == ["labelled a", "labelled b"]


def test_the_map_keeps_what_is_near_near() -> None:
    rng = np.random.default_rng(0)
    code = np.repeat([0, 1, 2], 30)
    X = (rng.normal(0, 0.1, (90, 40)) + 3 * np.eye(40)[code]).astype(np.float32)
    for tsne in (False, True):
        found = project(X, code, np.arange(90) + 7, tsne=tsne)
        assert found is not None
        assert found.points.shape == (90, 2)
        assert found.rows.tolist() == list(range(7, 97))
        middles = np.array([found.points[found.code == c].mean(axis=0) for c in range(3)])
        nearest = ((found.points[:, None] - middles) ** 2).sum(axis=2).argmin(axis=1)
        assert (nearest == found.code).mean() > 0.95
    # PCA by hand: the variance along the first two axes.
    centred = X - X.mean(axis=0)
    values = np.linalg.svd(centred.astype(float), compute_uv=False) ** 2
    exact = project(X, code, np.arange(90))
    assert exact is not None
    assert exact.explained == pytest.approx(values[:2].sum() / values.sum(), rel=1e-6)


def test_the_map_is_bounded_and_repeatable_and_knows_its_limits() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(MOST_POINTS + 500, 8)).astype(np.float32)
    code = rng.integers(0, 5, len(X))
    rows = np.arange(len(X))
    one, two = project(X, code, rows), project(X, code, rows)
    assert one is not None
    assert two is not None
    assert len(one.points) == MOST_POINTS
    assert one.n_rows == len(X)
    np.testing.assert_array_equal(one.points, two.points)
    assert project(X[:2], code[:2], rows[:2]) is None
    assert project(np.ones((9, 4), np.float32), code[:9], rows[:9]) is None
    assert project(X[:4, :1], code[:4], rows[:4], tsne=True) is not None


@pytest.mark.parametrize(
    ("given", "expected"), [((-0.2, 1.3), (0, 1.05)), ((0.5, 1.1), (0.5, 1.025)), ((0.2, 0.9), (0.2, 0.9))]
)
def test_an_axis_of_shares_ends_at_one(given: tuple[float, float], expected: tuple[float, float]) -> None:
    _, axes = figure_of(LIGHT)
    axes.set_ylim(*given)
    share_axis(axes)
    assert axes.get_ylim() == pytest.approx(expected)


def test_shades_of_the_matrix() -> None:
    assert shade(np.array([0, 1e-6, 1 / 6, 0.17, 0.5, 0.99, 1.0])).tolist() == [0, 1, 1, 2, 3, 6, 6]


def test_a_plot_in_a_page_has_its_own_names_and_the_pages_colours(tmp_path: Path) -> None:
    counts = [ClassCount(label, 5, 3, 1) for label in HOSTILE.values()]
    drawn = render(draw_classes(counts, stand_ins()), "svg")
    svg = [inline(drawn, name, 'what <it> "shows"', variables()) for name in ("one", "two")]
    (tmp_path / "p.html").write_text("<html><body>" + "".join(svg) + "</body></html>", "utf-8")
    page = Page(tmp_path / "p.html")
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for element in page.elements:
        for value in element.attributes.values():
            for name in (value[1:],) if value.startswith("#") else ():
                assert name in ids
    assert not page.all("script") + page.all("style") + page.all("metadata")
    assert "#0a0a" not in "".join(svg)
    assert "var(--one)" in svg[0]
    assert "var(--two)" in svg[0]
    assert page.all("svg")[0].attributes["aria-label"] == 'what <it> "shows"'
    assert [shortened(label) for label in HOSTILE.values()] == [
        e.text for e in page.all("text") if e.text in {shortened(label) for label in HOSTILE.values()}
    ][:3]


def test_the_same_facts_give_the_same_files() -> None:
    counts = [ClassCount("a", 5, 3, 0), ClassCount("b", 1, 1, 0)]
    for form in ("svg", "png"):
        one, two = (render(draw_classes(counts, LIGHT), form) for _ in range(2))
        assert one == two


def test_two_hundred_classes_are_drawn_without_names() -> None:
    counts = [ClassCount(f"class {i}", i + 1, 1, 0) for i in range(200)]
    assert b"class 7<" not in render(draw_classes(counts, LIGHT), "svg")
    confusion = np.eye(200, dtype=np.int64) * 5
    svg = render(draw_confusion(confusion, [c.label for c in counts], LIGHT), "svg")
    assert b"class 7<" not in svg
    assert len(svg) < 300_000
