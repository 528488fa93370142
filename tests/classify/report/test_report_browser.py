"""A real browser opens the report: no class name runs, the modes and the fragments do what they should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import CommandLine
from tests.support.classify.report_support import SCRIPT, Page, hostile_set

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the page with")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = CommandLine(tmp_path_factory.mktemp("browser")).with_tiny_network()
    hostile_set(here, per_class=6)
    here.incomplete("extract", "--labels", "labels.csv", "--network", "tiny", "--quiet")
    here.good("fit", "--force", "--softmax", "-C", "10", "--quiet")
    here.good("report", "--quiet")
    return here.folder / "report.html"


def browse(address: str, folder: Path, *options: str) -> str:
    """What chromium prints; it has an empty profile and no network to speak of."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM,
            *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []),
            f"--user-data-dir={folder}",
            *options,
            address,
        ],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    if done.returncode != 0 and not done.stdout:
        pytest.skip(f"chromium does not run here: {done.stderr[-200:]}")
    return done.stdout


def test_no_class_name_runs(report: Path, tmp_path: Path) -> None:
    dom = browse(report.as_uri(), tmp_path / "profile", "--dump-dom")
    (tmp_path / "dom.html").write_text(dom, "utf-8")
    page = Page(tmp_path / "dom.html")
    title = page.all("title")[0].text
    assert title.startswith("Classifier report")
    assert "pwned" not in title
    assert SCRIPT in page.section("confusion")
    assert len(page.all("script")) == 1
    assert not any(name.startswith("on") for element in page.elements for name in element.attributes)


def test_the_same_names_do_run_where_they_are_not_escaped(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<title>x</title><script>document.title='pwned'</script>", "utf-8")
    assert "<title>pwned</title>" in browse(page.as_uri(), tmp_path / "profile", "--dump-dom")


def test_the_policy_lets_the_map_run_and_nothing_else(report: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    text = report.read_text("utf-8")
    page.write_text(text.replace("</body>", "<script>document.title = 'pwned'</script></body>"), "utf-8")
    dom = browse(page.as_uri(), tmp_path / "profile", "--dump-dom")
    assert "<title>pwned</title>" not in dom
    (tmp_path / "dom.html").write_text(dom, "utf-8")
    # The map's script puts in a picture, hidden until a point is chosen; all others have a source.
    assert [e.attributes for e in Page(tmp_path / "dom.html").all("img") if "src" not in e.attributes] == [
        {"hidden": "", "alt": ""}
    ]


def scripted(report: Path, folder: Path, script: str) -> Page:
    """The page after a script that its policy would not allow."""
    text = report.read_text("utf-8")
    policy = re.search(r"<meta http-equiv[^>]*>", text)
    assert policy is not None
    page = folder / "scripted.html"
    text = text.replace(policy[0], "").replace("</body>", f"<script>{script}</script></body>")
    page.write_text(text, "utf-8")
    (folder / "dom.html").write_text(browse(page.as_uri(), folder / "profile", "--dump-dom"), "utf-8")
    return Page(folder / "dom.html")


def test_a_narrow_page_neither_overflows_nor_cuts_names(report: Path, tmp_path: Path) -> None:
    measure = """
      document.documentElement.style.width = "400px";
      const cut = [...document.querySelectorAll(".file, .said, .matrix th, dd, li")].filter(
        (e) => e.scrollWidth > e.clientWidth && e.clientWidth > 0);
      document.title = `${document.body.scrollWidth} ${document.documentElement.scrollWidth <= innerWidth} `
        + cut.length;"""
    assert scripted(report, tmp_path, measure).all("title")[0].text == "400 true 0"


def test_arrow_keys_show_the_images_of_the_map_from_left_to_right(report: Path, tmp_path: Path) -> None:
    press = """
      const board = document.querySelector(".board > svg");
      board.focus();
      for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft"])
        board.dispatchEvent(new KeyboardEvent("keydown", { key }));"""
    found = scripted(report, tmp_path, press)
    points = [e for e in found.all("use") if "data-path" in e.attributes]
    second = sorted(points, key=lambda e: float(e.attributes["x"]))[1].attributes
    shown = found.one("div", class_="chosen")
    assert shown.text == second["data-said"] + second["data-path"]
    assert found.all("img", src=second["data-picture"], alt="")


def test_it_prints(report: Path, tmp_path: Path) -> None:
    browse(report.as_uri(), tmp_path / "profile", f"--print-to-pdf={tmp_path / 'r.pdf'}", "--dump-dom")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-")


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext to read the print with")
def test_what_is_folded_is_printed_and_what_is_for_clicking_is_not(report: Path, tmp_path: Path) -> None:
    text = report.read_text("utf-8").replace("<details open>", "<details>")
    folded = "<details><summary>fold</summary><p>words inside the fold</p></details><nav>words to click</nav>"
    page = tmp_path / "r.html"
    page.write_text(text.replace("</section>", folded + "</section>", 1), "utf-8")
    browse(page.as_uri(), tmp_path / "profile", f"--print-to-pdf={tmp_path / 'r.pdf'}", "--dump-dom")
    told = subprocess.run(["pdftotext", tmp_path / "r.pdf", "-"], capture_output=True, text=True, check=True)
    assert "words inside the fold" in told.stdout
    assert "words to click" not in told.stdout
