"""What the pages say of commands, options, files and links is so."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from fc7.cli import CACHE, COMMANDS, MODELS
from tests.support import ROOT, command

PAGES = ("README.md", "models/README.md", "extract/README.md", "classify/README.md", "tests/README.md")
GROUPS = {"models": MODELS, "cache": CACHE}


def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def commands_of(page: str) -> Iterator[list[str]]:
    """The words of every command that a page shows, in lines of their own and in sentences."""
    text = text_of(page)
    for line in re.findall(r"^    (?:python cli\.py|fc7) (.+)$", text, re.M):
        yield line.split(" #")[0].split()
    for quoted in re.findall(r"`([^`]+)`", re.sub(r"^(?:    .*|```[\s\S]*?^```)$", "", text, flags=re.M)):
        words = quoted.removeprefix("fc7 ").split()
        if words and (words[0] in COMMANDS or (words[0] in GROUPS and words[1:])):
            yield words


@cache
def help_of(*name: str) -> str:
    ran = subprocess.run(command([*name, "--help"]), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, name
    return ran.stdout


@pytest.mark.parametrize("page", PAGES[:-1])
def test_a_page_names_only_commands_and_options_that_exist(page: str) -> None:
    used = list(commands_of(page))
    assert used
    for words in used:
        shown = help_of(*words[: 2 if words[0] in GROUPS else 1])
        for option in re.findall(r"(?<!\S)--?[a-zA-Z][a-z-]*", " ".join(words)):
            assert re.search(rf"(?<!\S){option}(?![a-z-])", shown), words


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("README.md", [*COMMANDS, *GROUPS]),
        ("models/README.md", [f"models {name}" for name in MODELS]),
        ("extract/README.md", [f"cache {name}" for name in CACHE]),
    ],
)
def test_a_page_names_every_command_of_its_room(page: str, names: list[str]) -> None:
    shown = {" ".join(words[: 2 if words[0] in GROUPS else 1]) for words in commands_of(page)}
    shown |= set(re.findall(r"(?<=`)[a-z-]+(?=`)", text_of(page)))
    assert set(names) <= shown


def anchors_of(page: Path) -> set[str]:
    """What GitHub makes of a page's headings: small letters, digits and hyphens for spaces."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https:)([^)#]*)#?([^)]*)\)", text_of(page))
    assert links
    for file, anchor in links:
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.is_file(), file
        assert not anchor or anchor in anchors_of(target), (file, anchor)


@pytest.mark.parametrize("page", PAGES)
def test_the_folders_make_targets_and_benchmarks_of_a_page_are_there(page: str) -> None:
    text = " ".join(text_of(page).split())
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`make ([a-z-]+)`", text):
        assert re.search(rf"^{target}:", makefile, re.M), target
    for module in re.findall(r"python -m (tests\.[\w.]+)", text):
        assert find_spec(module) is not None, module
    # A row of the table of rooms.
    for folder in re.findall(r"^\| `([a-z]+/)` \|", text_of(page), re.M):
        assert ((ROOT / page).parent / folder).is_dir(), folder


@pytest.mark.parametrize("stage", ["models", "extract", "classify"])
def test_the_page_of_a_stage_names_each_of_its_rooms(stage: str) -> None:
    rooms = [path.parent.name for path in (ROOT / stage).glob("*/__init__.py")]
    assert len(rooms) > 5
    assert [room for room in rooms if f"| `{room}/` |" not in text_of(f"{stage}/README.md")] == []
