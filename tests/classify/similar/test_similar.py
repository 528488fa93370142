"""`similar` as a user runs it: the images that it names are those that h5py and NumPy find."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from fc7.classify import similar_images
from fc7.classify.similar.similar import SimilarOptions
from tests.support import CommandLine, lines_of, read_json, write_pictures


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("similar")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=6)
    here.good("extract", "imgs", "--network", "tiny")
    write_pictures(here.folder / "new", per_class=1, start=50)
    shutil.copy(here.folder / "imgs" / "red" / "003.png", here.folder / "copy.png")
    return here


def rows_of(cache: Path) -> tuple[list[str], np.ndarray]:
    """Paths, and features of unit length, by h5py alone."""
    with h5py.File(cache) as file:
        X = file["features/embedding"][:].astype(np.float64)
        return [path.decode() for path in file["path"][:]], X / np.linalg.norm(X, axis=1, keepdims=True)


def test_rows_of_the_cache_have_the_neighbours_that_numpy_finds(cli: CommandLine) -> None:
    paths, unit = rows_of(cli.folder / "features.h5")
    ran = cli.good("similar", "red/000.png", "green/001.png", "-k", "4", "--json", "-q")
    told = read_json(ran.out)
    assert [query["path"] for query in told["queries"]] == ["red/000.png", "green/001.png"]
    for query in told["queries"]:
        own = paths.index(query["path"])
        cosines = unit @ unit[own]
        best = [row for row in np.argsort(-cosines, kind="stable") if row != own][:4]
        assert [near["path"] for near in query["neighbours"]] == [paths[row] for row in best]
        np.testing.assert_allclose([near["cosine"] for near in query["neighbours"]], cosines[best], atol=2e-6)
        assert {near["label"] for near in query["neighbours"]} == {query["path"].split("/")[0]}


def test_photographs_and_folders_are_read_with_the_network_of_the_cache(cli: CommandLine) -> None:
    ran = cli.good("similar", "copy.png", "new", "features.h5", "-k", "2", "--csv", "near.csv")
    assert "wrote near.csv" in ran.err
    rows = lines_of(cli.folder / "near.csv")
    assert list(rows[0]) == ["query", "rank", "path", "label", "cosine", "same_file", "sha256"]
    assert len(rows) == 2 * (1 + 3)
    first = rows[0]
    assert (first["path"], first["same_file"], float(first["cosine"])) == ("red/003.png", "1", 1.0)
    for row in rows[2:]:
        assert row["label"] == row["query"].split("/")[-2]
        assert row["same_file"] == "0"
    assert "1.000  red/003.png  red  (the same file)" in ran.out
    assert "compared with 18 images by embedding in " in ran.out


def test_a_page_shows_the_query_first_and_then_what_is_nearest(cli: CommandLine) -> None:
    ran = cli.good("similar", "new", "red/000.png", "-k", "3", "--html", "near.html", "-q")
    assert ran.err == ""
    page = (cli.folder / "near.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 4 * (3 + 1)
    assert page.count(">query<") == 4
    assert "4 queries compared with 18 images by the cosine of embedding." in page
    again = cli("similar", "red/000.png", "--html", "near.html")
    assert again.code == 2
    assert "--force" in again.err
    cli.good("similar", "red/000.png", "-k", "30", "--html", "near.html", "--force", "-q")
    assert (cli.folder / "near.html").read_text().count("<figure>") == 18


def test_patterns_that_no_shell_expanded_and_lists_are_images_too(cli: CommandLine) -> None:
    ran = cli.good("similar", "new/*/050.png", "-k", "1", "--json", "-q")
    assert len(read_json(ran.out)["queries"]) == 3
    (cli.folder / "wanted.txt").write_text("copy.png\n")
    ran = cli.good("similar", "wanted.txt", "-k", "1", "--json", "-q")
    assert read_json(ran.out)["queries"][0]["neighbours"][0]["same_file"] is True


def test_what_cannot_be_read_is_named_and_the_rest_is_answered(cli: CommandLine) -> None:
    (cli.folder / "some").mkdir(exist_ok=True)
    (cli.folder / "some" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    shutil.copy(cli.folder / "copy.png", cli.folder / "some" / "fine.png")
    ran = cli.incomplete("similar", "some", "-k", "1")
    assert "red/003.png" in ran.out
    assert "not read: " in ran.out
    assert "broken.png: " in ran.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nobody.png",), "nobody.png: neither a file or folder here nor an image of features.h5"),
        (("features.h5",), "only the feature cache features.h5 was found"),
        (("copy.png", "none.h5"), "none.h5"),
        (("copy.png", "-k", "0"), "-k"),
        (("copy.png", "--layer", "fc9"), "has no layer 'fc9'"),
    ],
)
def test_a_wrong_call_says_what_was_found_and_what_is_needed(
    cli: CommandLine, arguments: tuple[str, ...], says: str
) -> None:
    ran = cli("similar", *arguments)
    assert ran.code in (1, 2)
    assert says in " ".join(ran.err.split())


def test_rows_need_no_network_and_images_say_which_is_missing(cli: CommandLine) -> None:
    empty = {"FC7_HOME": str(cli.folder / "elsewhere")}
    assert cli("similar", "red/000.png", "-k", "1", env=empty).code == 0
    ran = cli("similar", "copy.png", "-k", "1", env=empty)
    assert ran.code == 2
    assert "features.h5 wants embedding of network 'tiny'" in " ".join(ran.err.split())


def test_from_python(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cli.folder)
    found = similar_images("blue/002.png", options=SimilarOptions(k=3))
    assert repr(found).startswith("SimilarImages(")
    assert [near.label for near in found.queries[0].neighbours] == ["blue"] * 3


def test_neighbours_have_the_labels_of_corrections(cli: CommandLine) -> None:
    near = read_json(cli.good("similar", "red/000.png", "-k", "1", "--json", "-q").out)["queries"][0][
        "neighbours"
    ][0]
    (cli.folder / "fixes.csv").write_text(f"path,label\n{near['path']},crimson\n", "utf-8")
    asked = ("similar", "red/000.png", "-k", "2", "--corrections", "fixes.csv", "-q")
    told = read_json(cli.good(*asked, "--json").out)
    first, second = told["queries"][0]["neighbours"]
    assert (first["path"], first["label"], second["label"]) == (near["path"], "crimson", "red")
    assert told["corrections"]["labels_corrected"] == 1
    assert "1 label corrected, 0 images taken out (fixes.csv)" in cli.good(*asked).out


def test_an_index_finds_them_too_and_says_how_many(cli: CommandLine, tmp_path: Path) -> None:
    pytest.importorskip("usearch", reason="the extra near is not installed")
    cache = tmp_path / "features.h5"
    shutil.copy(cli.folder / "features.h5", cache)
    asked = ("similar", "red/000.png", "green/001.png", str(cache), "-k", "4", "--json", "-q")
    exact, near = read_json(cli.good(*asked).out), read_json(cli.good(*asked, "--approximate").out)
    # Of eighteen rows none is missed.
    assert near["recall"] == 1.0
    for one, other in zip(exact["queries"], near["queries"], strict=True):
        cosines = [[each["cosine"] for each in query["neighbours"]] for query in (one, other)]
        np.testing.assert_allclose(cosines[0], cosines[1], atol=2e-3)
        assert other["path"] not in [each["path"] for each in other["neighbours"]]
    kept = sorted(file.name for file in tmp_path.iterdir())
    assert kept == ["features.h5", "features.h5.embedding.usearch", "features.h5.embedding.usearch.json"]
    before = (tmp_path / kept[1]).stat().st_mtime_ns
    said = cli.good(*asked[:-2], "--approximate").out
    assert "by an index, which finds 100.0% of the 12 nearest (tried on 18 rows)" in said
    assert (tmp_path / kept[1]).stat().st_mtime_ns == before
    # Another cache under that name has another index.
    write_pictures(cli.folder / "more", per_class=7)
    cli.good("extract", "more", "--network", "tiny", "-o", "more.h5", "-q")
    shutil.copy(cli.folder / "more.h5", cache)
    assert read_json(cli.good(*asked, "--approximate").out)["rows"] == 21
    (tmp_path / kept[2]).unlink()
    ran = cli(*asked, "--approximate")
    assert ran.code == 2
    assert "something else stands where the index would be kept" in ran.err
