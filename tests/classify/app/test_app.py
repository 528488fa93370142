"""The whole way through the server, from an empty folder to what is taken away."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fc7.classify.classifier.artifact import load_classifier
from fc7.extract.inputs.tables.corrections_history import Change, append_changes
from tests.support import CommandLine, lines_of, read_json, write_pictures
from tests.support.classify.app_support import RunningApp

pytest.importorskip("uvicorn")


@pytest.fixture
def here(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path).with_tiny_network()


def start(here: CommandLine, *more: str) -> RunningApp:
    return RunningApp(here, "--network", "tiny", "--device", "cpu", *more)


def bring(app: RunningApp, pictures: Path) -> None:
    for file in sorted(pictures.rglob("*.png")):
        assert app.upload(file, file.parent.name) == {"saved": True, "reason": ""}


def wait_for_unread(app: RunningApp, n: int) -> None:
    until = time.monotonic() + 60
    while app.state["unread"] != n:
        assert time.monotonic() < until, app.state["unread"]
        time.sleep(0.05)


def main_colour(app: RunningApp, item: dict[str, Any]) -> str:
    """Of the picture of an image that is not read yet."""
    status, said, data = app.raw("GET", f"/api/unread/{item['row']}", headers={"X-FC7-Token": app.token})
    assert status == 200, data
    # The next server has the same port and numbers others so: a picture that is kept would be a wrong one.
    assert said["cache-control"] == "no-store"
    mean = np.asarray(Image.open(io.BytesIO(data))).mean((0, 1))
    return ("red", "green", "blue")[int(mean.argmax())]


def trained(here: CommandLine, app: RunningApp) -> dict[str, Any]:
    bring(app, write_pictures(here.folder / "mine"))
    app.done("/api/jobs/extract")
    return app.done("/api/jobs/fit", {"head": "svm"})


def test_from_an_empty_folder_to_the_files(here: CommandLine) -> None:
    mine = write_pictures(here.folder / "mine")
    before = {file: file.read_bytes() for file in mine.rglob("*.png")}
    with start(here) as app:
        assert app.state["cache"] is None
        assert "there is no features.h5 yet" in app.refusal("GET", "/api/images?which=all")
        bring(app, mine)
        wait_for_unread(app, 24)
        unread = app.images("unread")
        assert [each["path"] for each in unread] == sorted(f.relative_to(mine).as_posix() for f in before)
        assert [each["label"] for each in unread] == ["blue"] * 8 + ["green"] * 8 + ["red"] * 8
        assert main_colour(app, unread[8]) == "green"
        state = app.done("/api/jobs/extract")
        wait_for_unread(app, 0)
        assert app.images("unread") == []
        assert [(each["name"], each["count"]) for each in state["classes"]] == [
            ("blue", 8),
            ("green", 8),
            ("red", 8),
        ]
        assert state["network"]["name"] == "tiny"
        state = app.done("/api/jobs/fit", {"head": "svm", "C": 1})
        assert len(state["rounds"]) == 1
        fit = app.ask("GET", "/api/fit")
        assert fit["classes"] == ["blue", "green", "red"]
        assert sum(map(sum, fit["confusion"])) == fit["n_test"] == state["rounds"][0]["n_test"]
        red = app.images("class", **{"class": "red"})
        assert [each["path"] for each in red] == [f"red/{i:03}.png" for i in range(8)]
        for what in ("classifier", "full", "card", "predictions"):
            app.done("/api/export", {"what": what})
        made = app.ask("GET", "/api/exports")
        assert [each["name"] for each in made] == [
            "classifier.onnx",
            "full.onnx",
            "MODEL_CARD.md",
            "predictions.csv",
        ]
        number = next(each["number"] for each in made if each["what"] == "predictions")
        data = app.raw("GET", f"/api/exports/{number}", headers={"X-FC7-Token": app.token})[2]
        code, said = app.end(signal.SIGINT)
    assert code == 0, said
    assert data == (here.folder / "take-away/predictions.csv").read_bytes()
    assert len(lines_of(here.folder / "take-away/predictions.csv")) == 24
    assert {file: file.read_bytes() for file in mine.rglob("*.png")} == before


def test_a_refit_after_corrections_is_what_the_command_fits(here: CommandLine) -> None:
    with start(here) as app:
        trained(here, app)
        rows = [each["row"] for each in app.images("class", **{"class": "red"})]
        assert app.relabel(rows[:2], "blue") == 2
        assert app.relabel(rows[2:3], "") == 1
        assert app.relabel(rows[:2], "blue") == 0
        assert app.state["fitted"]["since"] == 3
        state = app.done("/api/jobs/fit", {"head": "svm"})
        assert state["fitted"]["since"] == 0
        assert [each["n_corrections"] for each in state["rounds"]] == [0, 3]
    here.good("fit", "--svm", "--corrections", "corrections.csv", "-o", "other.onnx", "--quiet")
    ours, theirs = (load_classifier(here.folder / name) for name in ("classifier.onnx", "other.onnx"))
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    np.testing.assert_array_equal(ours.intercept_, theirs.intercept_)
    assert ours.scale == theirs.scale
    shown = read_json(here.good("evaluate", "features.h5", "--held-out", "--corrections", "corrections.csv",
                                "--json").out)  # fmt: skip
    with start(here) as app:
        assert app.ask("GET", "/api/fit")["confusion"] == shown["confusion"]


def test_what_was_decided_under_another_name_is_one_decision_more(here: CommandLine) -> None:
    """A file was renamed after somebody decided, and a kill cut the line after that one."""
    with start(here) as app:
        trained(here, app)
        images = app.images("class", **{"class": "red"})
    content = hashlib.sha256((here.folder / "imgs" / images[0]["path"]).read_bytes()).hexdigest()
    decided = Change("red/as it was called.png", content, "green")
    append_changes(here.folder / "corrections.csv", [decided])
    with (here.folder / "corrections.csv").open("ab") as file:
        file.write("red/é".encode()[:-1])
    with start(here) as app:
        row = images[0]["row"]
        assert any("no line end, as after a kill" in note["text"] for note in app.state["notes"])
        assert app.images("all")[row]["label"] == "green"
        assert app.relabel([row], "blue") == 1
        assert app.images("all")[row]["label"] == "blue"
        app.ask("POST", "/api/undo", {})
        assert app.images("all")[row]["label"] == "green"
        assert app.relabel([row], None) == 1
        assert app.images("all")[row]["label"] == "red"


def test_decisions_are_undone_one_by_one(here: CommandLine) -> None:
    with start(here) as app:
        trained(here, app)
        row = app.images("class", **{"class": "red"})[0]["row"]
        steps: list[tuple[str | None, str]] = [
            ("blue", "blue"),
            ("violet", "violet"),
            ("", ""),
            (None, "red"),
        ]
        seen = []
        for label, expected in steps:
            seen.append(app.images("all")[row]["label"])
            assert app.relabel([row], label) == 1
            assert app.images("all")[row]["label"] == expected
        assert [each["name"] for each in app.state["classes"]] == ["blue", "green", "red"]
        for label in reversed(seen):
            app.ask("POST", "/api/undo", {})
            assert app.images("all")[row]["label"] == label
        assert "nothing is left to undo" in app.refusal("POST", "/api/undo", {})
        assert app.state["corrections"] == 0
    assert (
        "0 labels corrected, 0 images taken out"
        in here.good("fit", "--corrections", "corrections.csv", "-o", "x.onnx", "--svm").out
    )


def test_rows_of_an_older_cache_relabel_nothing(here: CommandLine) -> None:
    with start(here) as app:
        trained(here, app)
        old = app.state["cache"]
        write_pictures(here.folder / "imgs", 1, start=50)
        here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
        body = {"rows": [0], "label": "red", "cache": old}
        assert "written anew" in app.refusal("POST", "/api/labels", body)
        assert not (here.folder / "corrections.csv").exists()
        assert app.state["n_rows"] == 27


def test_a_killed_server_loses_no_label_and_no_round(here: CommandLine) -> None:
    with start(here) as app:
        trained(here, app)
        rows = [each["row"] for each in app.images("class", **{"class": "red"})]
        app.relabel(rows[:3], "green")
        app.end(signal.SIGKILL)
    with start(here) as app:
        assert [each["label"] for each in app.images("all") if each["row"] in rows[:3]] == ["green"] * 3
        state = app.state
        assert len(state["rounds"]) == 1
        assert state["fitted"]["since"] == 3
        assert app.ask("GET", "/api/fit")["n_test"] == state["rounds"][0]["n_test"]


def test_a_damaged_cache_is_told_of_and_nothing_is_lost(here: CommandLine) -> None:
    with start(here) as app:
        trained(here, app)
        whole = (here.folder / "features.h5").read_bytes()
        (here.folder / "features.h5").write_bytes(whole[: len(whole) // 2])
        assert "features.h5" in app.refusal("GET", "/api/state", status=500)
        (here.folder / "features.h5").write_bytes(whole)
        assert app.state["n_rows"] == 24


def test_the_queue_and_the_sure_guesses(here: CommandLine) -> None:
    with start(here) as app:
        trained(here, app)
        pool = write_pictures(here.folder / "pool", 4, start=30)
        truth = {}
        for file in sorted(pool.rglob("*.png")):
            name = f"{file.parent.name[::-1]}-{file.name}"
            assert app.upload(file, "", name)["saved"]
            truth[name] = file.parent.name
        assert app.done("/api/jobs/extract")["unlabelled"] == 12
        queue = app.ask("GET", "/api/queue?n=5")
        assert len(queue["items"]) == 5
        assert all(len(each["guesses"]) == 3 for each in queue["items"])
        first = queue["items"][0]
        assert sum(each["probability"] for each in first["guesses"]) == pytest.approx(1, abs=1e-3)
        app.relabel([first["row"]], truth[first["path"]])
        assert app.state["unlabelled"] == 11
        least = 0.4
        sure = app.ask("GET", f"/api/confident?above={least}")
        held_out = sure["held_out"]
        assert held_out["precision"] == held_out["right"] / held_out["n"]
        assert held_out["low"] <= held_out["precision"] <= held_out["high"]
        body = {"above": least, "cache": app.state["cache"]}
        assert app.ask("POST", "/api/accept", body)["changed"] == sure["n"] > 0
        classifier = load_classifier(here.folder / "classifier.onnx")
        given = {line["path"]: line["label"] for line in lines_of(here.folder / "corrections.csv")}
        assert len(given) == 1 + sure["n"]
        assert set(given.values()) <= set(classifier.classes_)
        assert app.ask("POST", "/api/undo", {})["undone"].endswith("accepted")
        assert app.state["unlabelled"] == 11


def test_one_picture_is_tried(here: CommandLine) -> None:
    with start(here) as app:
        trained(here, app)
        picture = (here.folder / "mine/red/000.png").read_bytes()
        found = app.ask("POST", "/api/try?name=x.png", picture)
        ran = read_json(
            here.good("classify", "mine/red/000.png", "--device", "cpu", "--json", "-o", "p.csv").out
        )
        assert ran["classified"] == 1
        line = lines_of(here.folder / "p.csv")[0]
        assert found["top"][0]["label"] == line["label"]
        assert found["top"][0]["probability"] == pytest.approx(float(line["score"]), abs=1e-6)
        assert found["novelty"] == pytest.approx(float(line["novelty"]), abs=1e-4)
        trained_on = set(lines_of_split(here))
        assert found["neighbours"]
        assert {each["path"] for each in found["neighbours"]} <= trained_on
        map_ = app.ask("POST", f"/api/try/{found['id']}/occlusion", {})
        assert np.array(map_["drop"]).shape == (map_["rows"], map_["columns"]) == (8, 8)
        assert "not an image" in app.refusal("POST", "/api/try", b"nonsense", 404)


def lines_of_split(here: CommandLine) -> list[str]:
    here.good("fit", "--svm", "-o", "again.onnx", "--split-csv", "split.csv", "--quiet")
    return [line["path"] for line in lines_of(here.folder / "split.csv") if line["split"] == "train"]


def test_what_goes_wrong_is_said_and_the_app_goes_on(here: CommandLine) -> None:
    with start(here) as app:
        bring(app, write_pictures(here.folder / "mine", 1))
        assert "cannot be found" not in app.done("/api/jobs/extract")["job"]["message"]
        state = app.done("/api/jobs/fit", {"head": "svm"}, ends="failed")
        assert "Traceback" not in state["job"]["message"]
        assert state["job"]["message"]
        assert "head 'tree'" in app.refusal("POST", "/api/jobs/fit", {"head": "tree"})
        assert "there is no classifier.onnx" in app.refusal("GET", "/api/fit")
        (here.folder / "imgs/red/000.png").unlink()
        gone = app.images("class", **{"class": "red"})[0]
        assert "not found" in app.refusal("GET", f"/api/thumb/{gone['row']}?h={gone['h']}", status=404)
        Image.new("RGB", (40, 40)).save(here.folder / "imgs/blue/000.png")
        other = app.images("class", **{"class": "blue"})[0]
        assert "changed since" in app.refusal("GET", f"/api/thumb/{other['row']}?h={other['h']}", status=404)
        assert app.ask("GET", "/api/state")["n_rows"] == 3


def test_a_job_is_cancelled_and_what_it_did_is_kept(here: CommandLine) -> None:
    write_pictures(here.folder / "imgs", 400)
    with start(here, "--batch-size", "4", "--jobs", "1") as app:
        app.ask("POST", "/api/jobs/extract", {})
        while app.state["job"]["done"] < 20:
            assert app.state["job"]["state"] == "running"
        assert "reading features is at work" in app.refusal("POST", "/api/jobs/extract", {})
        app.ask("POST", "/api/jobs/cancel", {})
        state = app.wait_for_job("cancelled")
        assert "what was done is kept" in state["job"]["message"]
        kept = state["n_rows"]
        assert 0 < kept < 1200
        assert f"{kept} were read before" in app.done("/api/jobs/extract")["job"]["message"]


def test_a_wrong_call_of_the_command_is_told(here: CommandLine) -> None:
    (here.folder / "corrections.csv").write_text("path,label\na,b\n", "utf-8")
    ran = here("app", "--no-open")
    assert ran.code == 2
    assert "path,sha256,label,changed,undone" in ran.err
    (here.folder / "corrections.csv").unlink()
    (here.folder / "rounds.jsonl").write_text("my notes\n", "utf-8")
    ran = here("app", "--no-open")
    assert ran.code == 2
    assert "--rounds rounds.jsonl: something else stands there" in ran.err
    (here.folder / "rounds.jsonl").unlink()
    (here.folder / "photo.jpg").write_bytes(b"x")
    for images in ("photo.jpg", "s3://bucket/imgs"):
        ran = here("app", images, "--no-open")
        assert ran.code == 2
        assert "name " in ran.err
        assert "a folder" in ran.err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = here("app", "--no-open", "--port", str(taken.getsockname()[1]))
    assert ran.code == 2
    assert "leave it out, and any free port is taken" in ran.err


def test_a_classifier_made_elsewhere_is_replaced_by_force_only(here: CommandLine) -> None:
    write_pictures(here.folder / "imgs")
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    here.good("fit", "--softmax", "--quiet")
    mine = (here.folder / "classifier.onnx").read_bytes()
    with start(here) as app:
        state = app.done("/api/jobs/fit", {"head": "svm"}, ends="failed")
        assert "was not trained here" in state["job"]["message"]
        assert state["rounds"] == []
    assert (here.folder / "classifier.onnx").read_bytes() == mine
    with start(here, "--force") as app:
        app.done("/api/jobs/fit", {"head": "svm"})
    with start(here) as app:
        assert len(app.done("/api/jobs/fit", {"head": "svm"})["rounds"]) == 2


def test_the_same_files_are_served_at_the_same_port(here: CommandLine) -> None:
    with start(here) as app:
        first = app.port
        assert 49152 <= first <= 65535
        # Taken already: any that is free.
        with start(here) as second:
            assert second.port != first
            assert second.token != app.token
        with start(here, "-f", "other.h5") as other:
            assert other.port != first
    with start(here) as app:
        assert app.port == first


def test_images_that_are_not_read_have_numbers_until_something_changes(here: CommandLine) -> None:
    imgs = write_pictures(here.folder / "imgs", 2)
    with start(here) as app:
        wait_for_unread(app, 6)
        green = app.images("unread")[2]
        assert "look again" in app.refusal("GET", "/api/unread/6", status=404)
        (imgs / "blue/000.png").unlink()
        wait_for_unread(app, 5)
        assert app.images("unread")[1] == green
        assert main_colour(app, green) == "green"
        (imgs / "blue/001.png").write_bytes(b"no picture")
        for number in (0, 1):
            assert app.raw("GET", f"/api/unread/{number}", headers={"X-FC7-Token": app.token})[0] == 404


def test_a_whole_list_is_relabelled_by_its_rows(here: CommandLine) -> None:
    write_pictures(here.folder / "imgs", 4)
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    with start(here) as app:
        found = app.ask("GET", "/api/rows?which=class&class=green")
        assert found == {"cache": app.state["cache"], "rows": [4, 5, 6, 7]}
        assert app.relabel(found["rows"], "red") == 4
        assert app.ask("GET", "/api/rows?which=class&class=green")["rows"] == []
        assert "lists are" in app.refusal("GET", "/api/rows?which=nothing")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_page_that_waits_hears_of_a_change_and_ends_with_the_server(here: CommandLine) -> None:
    with start(here) as app:
        version = app.state["version"]
        app.ask("POST", "/api/classes", {"name": "cat"})
        assert app.ask("GET", f"/api/state?since={version}")["version"] > version
        now = app.state["version"]
        waiting = socket.create_connection(("127.0.0.1", app.port), timeout=20)
        head = (
            f"GET /api/state?since={now} HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nX-FC7-Token: {app.token}"
        )
        waiting.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode())
        code, said = app.end(signal.SIGINT)
        with waiting:
            answer = b"".join(iter(lambda: waiting.recv(65536), b""))
        assert code == 0
        assert "ERROR" not in said
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["version"] >= now


def test_without_the_extra_the_message_names_it(here: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without/uvicorn.py").write_text("raise ImportError('No module named uvicorn')")
    ran = here("app", "--no-open", env={"PYTHONPATH": str(tmp_path / "without")})
    assert ran.code == 2
    assert "pip install 'fc7[app]'" in ran.err
