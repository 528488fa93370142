"""A run that would take most labels of a cache away asks first, and says what may be meant."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from tests.support import CommandLine, write_pictures


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    here = CommandLine(tmp_path).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=4)
    here.good("extract", "imgs", "--network", "tiny")
    return here


def labels_in(cache: Path) -> list[str]:
    """Read by h5py alone."""
    with h5py.File(cache) as file:
        return [text.decode() for text in file["label"][:]]


def table(cli: CommandLine, name: str, n: int) -> str:
    """Labels of the first n images."""
    paths = sorted(p.relative_to(cli.folder / "imgs").as_posix() for p in cli.folder.glob("imgs/*/*"))
    lines = [f"{path},{path.split('/')[0]}" for path in paths[:n]]
    (cli.folder / name).write_text("\n".join(["path,label", *lines]), encoding="utf-8")
    return name


def test_labels_for_a_few_stop_the_run_and_two_things_may_be_meant(cli: CommandLine) -> None:
    before = (cli.folder / "features.h5").read_bytes()
    again = ("extract", "imgs", "--network", "tiny", "--labels", table(cli, "fixes.csv", 5))
    ran = cli(*again)
    assert ran.code == 2
    assert "features.h5 holds 12 labelled images, and 7 of them would have no label any more" in ran.err
    assert "fit features.h5 --corrections fixes.csv`" in ran.err
    assert "--remove-missing takes the other labels away" in ran.err
    assert (cli.folder / "features.h5").read_bytes() == before
    cli.good(*again, "--remove-missing")
    assert sum(map(bool, labels_in(cli.folder / "features.h5"))) == 5


def test_half_of_them_may_go(cli: CommandLine) -> None:
    cli.good("extract", "imgs", "--network", "tiny", "--labels", table(cli, "half.csv", 6))
    assert sum(map(bool, labels_in(cli.folder / "features.h5"))) == 6


def test_a_pattern_that_finds_nothing_stops_too_and_a_new_cache_does_not(cli: CommandLine) -> None:
    by = ("extract", "imgs", "--network", "tiny", "--label-by", "(re[d])/00[01]")
    ran = cli(*by)
    assert ran.code == 2
    assert "10 of them would have no label" in ran.err
    assert "another pattern" in ran.err
    cli.good(*by, "-o", "new.h5")
    cli.good(*by, "--force")
    assert sum(map(bool, labels_in(cli.folder / "features.h5"))) == 2


def test_a_table_of_a_few_images_alone_is_told_the_way_of_corrections_too(cli: CommandLine) -> None:
    (cli.folder / table(cli, "fixes.csv", 5)).rename(cli.folder / "imgs/fixes.csv")
    ran = cli("extract", "--labels", "imgs/fixes.csv", "--network", "tiny")
    assert ran.code == 2
    assert "7 of them are of images that are not among those given" in ran.err
    assert "corrections: `" in ran.err
    assert "fit features.h5 --corrections imgs/fixes.csv`" in ran.err
