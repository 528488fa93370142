"""What a user's machine does to the server: odd names, foreign cookies, other programs, kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from fc7.classify.app.files import AppFiles
from fc7.classify.app.jobs import Job
from fc7.classify.app.project import Project
from fc7.classify.app.rounds import Rounds
from fc7.classify.app.shared import Shared
from fc7.classify.app.uploads import clear_parts, file_name, save_image
from fc7.classify.fit.result import FitOptions
from fc7.extract.cache.format.files import lock_path
from fc7.extract.cache.format.lock import Lock
from fc7.extract.cache.reader import CacheReader
from fc7.models.common.errors import UsageError
from tests.support import CommandLine, read_json, write_pictures
from tests.support.classify.app_support import RunningApp

pytest.importorskip("uvicorn")


@pytest.fixture
def here(tmp_path: Path) -> CommandLine:
    here = CommandLine(tmp_path).with_tiny_network()
    write_pictures(here.folder / "imgs")
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    return here


def start(here: CommandLine, *more: str) -> RunningApp:
    return RunningApp(here, "--device", "cpu", *more)


ODD = [
    ("POST", "/api/labels", b"[" * 200_000),
    ("POST", "/api/labels", b'{"rows": [0], "label": "\\ud800", "cache": "\\ud800"}'),
    ("POST", "/api/labels", b'{"rows": [' + b"9" * 5000 + b'], "label": "x", "cache": "x"}'),
    ("POST", "/api/accept", b'{"above": [1], "cache": "x"}'),
    ("POST", "/api/classes", b'{"name": "\\ud800"}'),
    ("POST", "/api/export", b'{"what": "\\ud800"}'),
    ("POST", "/api/jobs/extract", b'{"network": 5}'),
    ("POST", "/api/jobs/fit", b'{"head": {"a": 1}}'),
    ("POST", "/api/jobs/fit", b'{"normalize": [1]}'),
    ("POST", "/api/jobs/fit", b'{"seed": 1e999}'),
    ("GET", "/api/images?which=%00%ff", None),
    ("GET", "/api/images?which=all&limit=nan", None),
    ("GET", "/api/state?wait=x", None),
    ("GET", "/api/thumb/" + "9" * 5000, None),
    ("GET", "/api/nowhere", None),
    ("DELETE", "/api/labels", None),
]


def test_whatever_is_asked_is_answered_by_a_sentence_and_no_traceback(here: CommandLine) -> None:
    with start(here) as app:
        for method, path, body in ODD:
            status, headers, answer = app.raw(method, path, body, {"X-FC7-Token": app.token})
            assert status >= 400, (method, path)
            assert headers["content-type"] == "application/json", (method, path)
            assert json.loads(answer)["error"], (method, path)
        assert app.state["n_rows"] == 24
        code, said = app.end(signal.SIGINT)
    assert code == 0
    assert said == "the address is for this machine only; Ctrl-C ends the server\n"


@pytest.mark.parametrize(
    "other", ['a={"x":1}', "a=b c", 'a="x', "=", "a[b]=1", "bare", "user@x=1", "fc7-1=wrong", "a=é"]
)
def test_cookies_of_other_programs_do_not_count(here: CommandLine, other: str) -> None:
    with start(here) as app:
        own = f"fc7-{app.port}={app.token}"
        for text in (f"{other}; {own}", f"{own}; {other}", f"{other};{own};{other}"):
            sent = {"Cookie": text.encode().decode("latin-1")}
            assert app.raw("GET", "/api/state", headers=sent)[0] == 200, text
        assert app.raw("GET", "/api/state", headers={"Cookie": f"x{own}; {other}"})[0] == 403


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
def test_names_that_are_no_unicode(here: CommandLine) -> None:
    picture = here.folder / "imgs/red/000.png"
    folder = os.fsencode(here.folder) + b"/imgs/bl\xe9u"
    os.mkdir(folder)  # noqa: PTH102
    for name in (b"caf\xe9.png", b"x.png"):
        os.link(picture, folder + b"/" + name)
    with start(here) as app:
        state = app.done("/api/jobs/extract")
        assert [(each["name"], each["count"]) for each in state["classes"]] == [
            (r"bl\xe9u", 2),
            ("blue", 8),
            ("green", 8),
            ("red", 8),
        ]
        odd = app.images("class", **{"class": r"bl\xe9u"})
        assert [each["path"] for each in odd] == [r"bl\xe9u/caf\xe9.png", r"bl\xe9u/x.png"]
        token = {"X-FC7-Token": app.token}
        assert app.raw("GET", f"/api/thumb/{odd[0]['row']}?h={odd[0]['h']}", headers=token)[0] == 200
        assert app.relabel([each["row"] for each in odd], "red") == 2
        state = app.done("/api/jobs/fit", {"head": "svm"})
        assert state["rounds"][0]["n_corrections"] == 2
        # The folder is there still, without an image that counts.
        assert {"name": r"bl\xe9u", "count": 0} in state["classes"]


def test_names_with_markup_come_out_as_json_alone(here: CommandLine) -> None:
    label = "<img src=x onerror=alert(1)>"
    (here.folder / "imgs/red").rename(here.folder / "imgs" / label)
    token = "X-FC7-Token"
    with start(here) as app:
        state = app.done("/api/jobs/extract")
        assert label in [each["name"] for each in state["classes"]]
        asked = ("/api/state", "/api/images?which=all", "/api/failures", f"/api/images?which={label[:4]}%22")
        for path in asked:
            _, headers, body = app.raw("GET", path, headers={token: app.token})
            assert headers["content-type"] == "application/json"
            assert headers["x-content-type-options"] == "nosniff"
            json.loads(body)
        assert label.encode() not in app.raw("GET", "/", headers={token: app.token})[2]
        assert b"<img" not in app.raw("GET", f"/?token={label[:4]}")[2]


def test_long_names_in_any_script_are_kept_as_far_as_a_disk_takes_them(tmp_path: Path) -> None:
    data = (write_pictures(tmp_path / "mine", 1) / "red/000.png").read_bytes()
    name = "猫" * 119 + ".png"
    assert len(file_name(name).encode()) <= 210
    for number in range(3):
        assert save_image(tmp_path / "imgs", "cat", name, data + bytes(number)).saved
    kept = list((tmp_path / "imgs/cat").iterdir())
    assert len(kept) == 3
    assert all(each.name.startswith("猫" * 60) and each.suffix == ".png" for each in kept)


def test_where_a_disk_has_no_links_nothing_is_replaced_or_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (write_pictures(tmp_path / "mine", 1) / "red/000.png").read_bytes()

    def no_links(*_: object) -> NoReturn:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    monkeypatch.setattr(os, "link", no_links)
    folder = tmp_path / "imgs"
    assert save_image(folder, "", "a.png", data).saved
    assert save_image(folder, "", "a.png", data + b"\0").saved
    again = save_image(folder, "", "a.png", data)
    assert (again.saved, again.reason) == (False, "it is there already")
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == {
        "a.png": data,
        "a-2.png": data + b"\0",
    }
    # A kill just before the image gets its name.
    monkeypatch.setattr(Path, "replace", no_links)
    with pytest.raises(Exception, match="cannot be written there"):
        save_image(folder, "", "b.png", data)
    assert (folder / "b.png").read_bytes() == b""


def test_what_kills_have_left_of_images_goes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    names = (".0123456789abcdef.part", "cat/.0123456789abcdef.part", "cat/.aaaaaaaaaaaaaaaa.part",
             "cat/.mine.part", "cat/0123456789abcdef.part", "cat/a.png")  # fmt: skip
    for name in names:
        (tmp_path / name).write_bytes(b"x")
        if "aaaa" not in name:
            os.utime(tmp_path / name, (0, 0))
    clear_parts(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(names[2:])
    clear_parts(tmp_path / "nowhere")


def test_a_folder_that_goes_away_while_parts_are_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        part = tmp_path / name / ".0123456789abcdef.part"
        part.write_bytes(b"x")
        os.utime(part, (0, 0))

    def unlink(path: str) -> None:
        monkeypatch.undo()
        for name in ("cat", "dog"):
            shutil.rmtree(tmp_path / name, ignore_errors=True)
        raise FileNotFoundError(path)

    monkeypatch.setattr("fc7.classify.app.uploads.os.unlink", unlink)
    clear_parts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_images_are_added_with_the_network_and_layer_of_the_cache(here: CommandLine) -> None:
    """As after a restart: what was chosen for the first extraction holds."""
    here.good("extract", "imgs", "--network", "tiny", "--layer", "g", "--resize", "short", "--float16",
              "-o", "other.h5", "--device", "cpu", "--quiet")  # fmt: skip
    write_pictures(here.folder / "imgs", 2, start=40)
    for name, layer in (("features.h5", "embedding"), ("other.h5", "g")):
        with CacheReader(here.folder / name) as reader:
            before = reader.identity, reader.header.storage
        with start(here, "-f", name, "-m", f"{name}.onnx") as app:
            state = app.done("/api/jobs/extract")
            assert state["network"] == {"name": "tiny", "layer": layer}
            assert "6 images read, 24 were read before" in state["job"]["message"]
        with CacheReader(here.folder / name) as reader:
            assert (reader.identity, reader.header.storage) == before


def test_labels_and_groups_of_a_table_stay_when_images_are_added(here: CommandLine) -> None:
    lines = [f"red/{i:03}.png,{'hot' if i % 2 else 'warm'},track {i // 2}" for i in range(8)]
    (here.folder / "labels.csv").write_text("\n".join(["path,label,group", *lines, ""]))
    here.good("extract", "imgs", "--labels", "labels.csv", "--network", "tiny", "-o", "table.h5",
              "--device", "cpu", "--quiet")  # fmt: skip
    with CacheReader(here.folder / "table.h5") as reader:
        known = reader.columns()
        before = dict(zip(known.path, zip(known.label, known.group, strict=True), strict=True))
    assert before["red/001.png"] == ("hot", "track 0")
    write_pictures(here.folder / "imgs", 1, start=40)
    with start(here, "-f", "table.h5") as app:
        state = app.done("/api/jobs/extract")
    assert any("3 new images without a group" in line for line in state["job"]["lines"])
    with CacheReader(here.folder / "table.h5") as reader:
        known = reader.columns()
        after = dict(zip(known.path, zip(known.label, known.group, strict=True), strict=True))
    new = {f"{label}/040.png": (label, "") for label in ("blue", "green", "red")}
    assert after == before | new


def test_a_cache_that_another_program_writes_is_told_of(here: CommandLine) -> None:
    cache = here.folder / "features.h5"
    held = Lock(lock_path(cache), cache)
    write_pictures(here.folder / "imgs", 1, start=40)
    with start(here) as app:
        held.acquire()
        try:
            state = app.done("/api/jobs/extract", ends="failed")
            assert f"features.h5 is being written by process {os.getpid()}" in state["job"]["message"]
            assert "wait until it has finished" in state["job"]["message"]
            assert app.state["n_rows"] == 24
        finally:
            held.release()
        assert app.done("/api/jobs/extract")["n_rows"] == 27


@pytest.mark.parametrize(("what", "body"), [("extract", {}), ("fit", {"head": "auto"}), ("suspects", {})])
def test_ctrl_c_amid_a_job_and_half_an_upload(here: CommandLine, what: str, body: object) -> None:
    write_pictures(here.folder / "imgs", 200, start=100)
    with start(here, "--batch-size", "4", "--jobs", "1") as app:
        app.ask("POST", f"/api/jobs/{what}", body)
        with socket.create_connection(("127.0.0.1", app.port), timeout=20) as upload:
            head = f"PUT /api/upload?name=a.png HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\n"
            upload.sendall(f"{head}X-FC7-Token: {app.token}\r\nContent-Length: 1000\r\n\r\nabc".encode())
            code, said = app.end(signal.SIGINT)
    assert code == 0
    assert said == "the address is for this machine only; Ctrl-C ends the server\n"
    assert not (here.folder / "imgs/a.png").exists()
    assert read_json(here.good("cache", "verify", "features.h5", "--json").out)["rows"] >= 24


def test_one_ctrl_c_ends_what_hears_nothing(here: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn would raise the signal once more, and two of them end the program with 130."""
    (here.folder / "slow").mkdir()
    (here.folder / "slow/sitecustomize.py").write_text(
        "import time\nimport fc7.classify.fit.suspects_from_cache as searching\n"
        "searching.cache_suspects = lambda *_, **__: time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(here.folder / "slow"))
    for by in (signal.SIGINT, signal.SIGTERM):
        with start(here) as app:
            app.ask("POST", "/api/jobs/suspects", {})
            code, said = app.end(by)
        assert code == 0
        assert said == "the address is for this machine only; Ctrl-C ends the server\n"


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it is done."""


@pytest.fixture
def project(here: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.chdir(here.folder)
    project = Project(AppFiles())
    yield project
    project.close()


def fit(project: Project, seed: int) -> bytes:
    options = FitOptions(head="svm", seed=seed)
    project.training.fit(options, project.now(), Job(1, "fit", "training", Shared()))
    return Path("classifier.onnx").read_bytes()


def kill(*_: object) -> NoReturn:
    raise Killed


@pytest.mark.parametrize("earlier", [False, True])
def test_a_kill_before_the_round_is_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    before = fit(project, 0) if earlier else None
    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "add", kill)
        with pytest.raises(Killed):
            fit(project, 1)
    assert Path("classifier.onnx").exists() == earlier
    again = Project(AppFiles())
    assert before is None or Path("classifier.onnx").read_bytes() == before
    assert len(again.training.rounds.read()) == earlier
    # What the kill left is nobody's: training goes on, and no --force is asked for.
    assert fit(again, 1) != before
    assert not Path("classifier.onnx.fitted").exists()


@pytest.mark.parametrize("earlier", [False, True])
def test_a_kill_between_the_round_and_the_classifier(
    project: Project, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    expected = fit(project, 1)
    Path("classifier.onnx").unlink()
    before = fit(project, 0) if earlier else b""
    with monkeypatch.context() as patch:
        patch.setattr("fc7.models.outputs.outputs.Output.put", kill)
        patch.setattr("fc7.classify.app.training.fit_cache", _writing_by_hand)
        with pytest.raises(Killed):
            fit(project, 1)
    assert (Path("classifier.onnx").read_bytes() if earlier else b"") == before
    again = Project(AppFiles())
    assert Path("classifier.onnx").read_bytes() == expected
    assert not Path("classifier.onnx.fitted").exists()
    assert len(again.training.rounds.read()) == 2 + earlier


def _writing_by_hand(features: Path, out: object, options: FitOptions, **more: object) -> object:
    from fc7.classify.fit.from_cache import fit_cache

    result = fit_cache(features, "by-hand.onnx", options)
    Path("by-hand.onnx").rename("classifier.onnx.fitted")
    return result


def test_a_classifier_that_appears_amid_a_fit_stays(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def appears(*args: object, **more: object) -> object:
        from fc7.classify.fit.from_cache import fit_cache

        fit_cache("features.h5", "classifier.onnx", FitOptions(head="softmax"))
        return fit_cache(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("fc7.classify.app.training.fit_cache", appears)
    with pytest.raises(UsageError, match="was not trained here"):
        fit(project, 0)
    from fc7.classify.classifier.artifact import load_classifier

    assert load_classifier("classifier.onnx").head == "softmax"
    assert project.training.rounds.read() == []
