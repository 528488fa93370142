"""The page that runs full.onnx in a browser: its pixels against our own, its refusals, the page itself."""

from __future__ import annotations

import base64
import functools
import http.server
import io
import json
import os
import shutil
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from fc7.classify.export import browser as browser_export
from fc7.classify.export.export import Exported
from fc7.extract.images.decode import prepare
from fc7.models.network.spec import PreprocessSpec
from tests.support import CommandLine, lines_of, write_pictures

STATIC = Path(browser_export.__file__).parent / "static"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the page with")
# The unpacked npm package; whoever has it tries the whole page.
PACKAGE = os.environ.get("FC7_TEST_ONNXRUNTIME_WEB")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright to drive a browser with")
    with playwright.sync_playwright() as driver:
        try:
            found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except playwright.Error as exc:
            pytest.skip(f"chromium does not run here: {str(exc)[-200:]}")
        yield found
        found.close()


class Served:
    """A folder on 127.0.0.1, as ``python -m http.server`` serves it."""

    def __init__(self, folder: Path) -> None:
        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

        handler = functools.partial(Handler, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> str:
        return self.url

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def spec(**given: Any) -> PreprocessSpec:
    base: dict[str, Any] = {"resize_height": 40, "resize_width": 40, "crop_height": 32, "crop_width": 32}
    return PreprocessSpec(
        **{"resize": "warp", "channel_order": "RGB", "mean": (104.0, 117.0, 123.0), **base, **given}
    )


SPECS = {
    "warp": spec(),
    "warp not square": spec(resize_height=33, resize_width=57, crop_height=20, crop_width=50),
    "short": spec(resize="short"),
    "short not square": spec(resize="short", resize_height=40, resize_width=64, crop_width=60),
    "pad": spec(resize="pad", channel_order="BGR"),
    "pad scaled": spec(resize="pad", scale=1 / 255, mean=(0.485, 0.456, 0.406)),
    "pad by its own mean": spec(resize="pad", image_mean=True),
    "ten crops": spec(crops=10),
    "ten crops of short": spec(resize="short", crops=10, crop_height=31, crop_width=27),
    "bicubic": spec(interpolation="bicubic"),
    "nearest": spec(interpolation="nearest"),
    "without antialiasing": spec(antialias=False),
    "bicubic without": spec(interpolation="bicubic", antialias=False, resize="short"),
}
SIZES = [(97, 61), (40, 40), (33, 128), (7, 5), (200, 31)]


@needs_chromium
@pytest.mark.slow
def test_the_pages_pixels_are_ours(chromium: Any) -> None:
    with Served(STATIC) as url:
        page = chromium.new_page()
        page.goto(url + "page.css")
        script = """async ([png, spec]) => {
            const { decoded, prepared } = await import("./picture.js");
            const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
            return btoa(String.fromCharCode(...prepared(await decoded(new Blob([bytes])), spec)));
        }"""
        for name, each in SPECS.items():
            for size in SIZES:
                # A profile of other primaries: people would see other colours, the network does not.
                data = noisy_png(size, icc_profile=WIDE_GAMUT if size == (40, 40) else None)
                wanted = prepare(data, each)
                given = page.evaluate(script, [base64.b64encode(data).decode(), json.loads(each.to_json())])
                found = np.frombuffer(base64.b64decode(given), np.uint8).reshape(wanted.shape)
                # Earlier ones always begin across, 13 does not (findings/pillow-13-resizes-down-first.sh).
                other_order = str(features.version("pil")).split(".")[0] < "13" and each.antialias
                difference = np.abs(found.astype(int) - wanted)
                assert difference.max() <= int(other_order), (name, size)
        page.close()


def wide_gamut() -> bytes:
    """An ICC profile (version 2.4, matrix and gamma) with primaries that lie far apart, as Adobe RGB's."""

    def fixed(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    white = fixed(0.9642, 1.0, 0.8249)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"wide\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + white,
        b"rXYZ": b"XYZ " + bytes(4) + fixed(0.60974, 0.31111, 0.01947),
        b"gXYZ": b"XYZ " + bytes(4) + fixed(0.20528, 0.62567, 0.06087),
        b"bXYZ": b"XYZ " + bytes(4) + fixed(0.14919, 0.06322, 0.74457),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv" + bytes(4) + struct.pack(">IH", 1, 563)),
    }
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = struct.pack(">I", start + len(body))
    about = b"mntrRGB XYZ " + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    return (size + bytes(4) + b"\x02\x40\0\0" + about + bytes(28) + white).ljust(128, b"\0") + table + body


WIDE_GAMUT = wide_gamut()


@needs_chromium
def test_the_browser_would_have_used_that_profile(chromium: Any) -> None:
    """Else the test above could not fail by it."""
    data = base64.b64encode(noisy_png((40, 40), icc_profile=WIDE_GAMUT)).decode()
    script = """async ([png, colorSpaceConversion]) => {
        const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion });
        const paint = new OffscreenCanvas(40, 40).getContext("2d");
        paint.drawImage(bitmap, 0, 0);
        return Array.from(paint.getImageData(0, 0, 40, 40).data);
    }"""
    with Served(STATIC) as url:
        page = chromium.new_page()
        page.goto(url + "page.css")
        used, ignored = (np.array(page.evaluate(script, [data, how])) for how in ("default", "none"))
        page.close()
    assert np.abs(used - ignored).max() > 10


def test_what_is_too_large_for_a_browser_is_refused(
    fitted: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fc7.classify.classifier.artifact import load_classifier
    from fc7.models.common.errors import ClassifierError

    given = package(tmp_path / "given")
    digests = {name: _digest(given / "dist" / name) for name in browser_export._FILES}
    monkeypatch.setattr(browser_export, "_FILES", digests)

    def large(classifier: object, out: Path, inputs: object, **_: object) -> Exported:
        files = out, out.with_name(f"{out.name}.data")
        return Exported(files, 3 << 30, 13, ("n", 32, 32, 3), (), 1, "", 0.0)

    monkeypatch.setattr(browser_export, "export_full", large)
    with pytest.raises(ClassifierError, match=r"have 3\.2 GB, and a browser takes 2 GiB at most"):
        browser_export.export_browser(
            load_classifier(fitted.folder / "classifier.onnx"), tmp_path / "web", given
        )
    assert not (tmp_path / "web").exists()


def noisy_png(size: tuple[int, int], icc_profile: bytes | None = None) -> bytes:
    rng = np.random.default_rng(size)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)).save(
        out, "PNG", icc_profile=icc_profile
    )
    return out.getvalue()


@pytest.fixture
def fitted(tmp_path: Path) -> CommandLine:
    here = CommandLine(tmp_path).with_tiny_network()
    write_pictures(here.folder / "imgs")
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    here.good("fit", "--svm", "--quiet")
    return here


def package(folder: Path, version: str = browser_export.VERSION, name: str = "onnxruntime-web") -> Path:
    """Something that looks like the npm package."""
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version}))
    for file in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (folder / "dist" / file).write_text(file)
    return folder


@pytest.mark.parametrize(
    ("version", "name", "reason"),
    [
        ("1.29.0", "onnxruntime-web", "onnxruntime-web 1.29.0 was found"),
        (browser_export.VERSION, "left-pad", "left-pad .* was found"),
        (browser_export.VERSION, "onnxruntime-web", "is not the file that npm has"),
    ],
)
def test_another_package_is_refused(
    fitted: CommandLine, version: str, name: str, reason: str, tmp_path: Path
) -> None:
    given = package(tmp_path / "given", version, name)
    ran = fitted("export", "--format", "browser", "--onnxruntime-web", given)
    assert ran.code == 2
    assert pytest.importorskip("re").search(reason, " ".join(ran.err.split()))
    assert f"npm install onnxruntime-web@{browser_export.VERSION}" in " ".join(ran.err.split())
    assert not (fitted.folder / "web").exists()


def test_without_a_package_it_says_how_to_get_it(fitted: CommandLine) -> None:
    ran = fitted("export", "--format", "browser")
    assert ran.code == 2
    assert "npm install onnxruntime-web@" in ran.err
    assert "no npm package onnxruntime-web was found there" in " ".join(ran.err.split())


def test_the_folder_holds_the_page_and_nothing_is_replaced(
    fitted: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fc7.classify.classifier.artifact import load_classifier
    from fc7.models.common.errors import UsageError

    given = package(tmp_path / "node_modules/onnxruntime-web")
    monkeypatch.setenv("FC7_HOME", str(fitted.store))
    monkeypatch.setattr(
        browser_export, "_FILES", {name: _digest(given / "dist" / name) for name in browser_export._FILES}
    )
    classifier = load_classifier(fitted.folder / "classifier.onnx")
    folder = tmp_path / "web"
    done = browser_export.export_browser(classifier, folder, given.parent)
    names = {
        "full.onnx",
        "settings.json",
        "index.html",
        "page.js",
        "picture.js",
        "page.css",
        *browser_export._FILES,
    }
    assert {file.name for file in folder.iterdir()} == names
    assert done.size == sum(file.stat().st_size for file in folder.iterdir())
    settings = json.loads((folder / "settings.json").read_text("utf-8"))
    assert settings["classes"] == ["blue", "green", "red"]
    assert settings["preprocessing"]["crop_height"] == 32
    assert "http://" not in (folder / "page.js").read_text("utf-8")
    assert "'wasm-unsafe-eval'" in (folder / "index.html").read_text("utf-8")
    with pytest.raises(UsageError, match="give -o a new or an empty folder"):
        browser_export.export_browser(classifier, folder, given)


def _digest(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


@needs_chromium
@pytest.mark.skipif(PACKAGE is None, reason="FC7_TEST_ONNXRUNTIME_WEB names no copy of onnxruntime-web")
def test_the_page_says_what_classify_says(fitted: CommandLine, chromium: Any) -> None:
    fitted.good("export", "--format", "browser", "--onnxruntime-web", str(PACKAGE))
    pictures = sorted(write_pictures(fitted.folder / "new", 2, start=60).rglob("*.png"))
    fitted.good("classify", "new", "--device", "cpu", "-o", "p.csv", "--top-k", "3")
    lines = {line["path"]: line for line in lines_of(fitted.folder / "p.csv")}
    with Served(fitted.folder / "web") as url:
        page = chromium.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        page.wait_for_selector("#file:not([disabled])")
        for picture in pictures:
            page.set_input_files("#file", picture)
            page.wait_for_selector("#said li")
            line = lines[picture.relative_to(fitted.folder).as_posix()]
            shown = page.locator("#said li").first.inner_text()
            assert shown.startswith(f"{line['label']} {100 * float(line['score']):.1f} %")
        assert all(each.startswith((url, "blob:")) for each in asked)
