"""Nobody but the app's own page is answered, and nothing but itself is loaded by it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CommandLine, write_pictures
from tests.support.classify.app_support import RunningApp

pytest.importorskip("uvicorn")

PAGE = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
PAGE += "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
CHANGE = json.dumps({"name": "cat"}).encode()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    here = CommandLine(tmp_path_factory.mktemp("guard")).with_tiny_network()
    write_pictures(here.folder / "imgs", 2)
    here.good("extract", "imgs", "--network", "tiny", "--quiet")
    with RunningApp(here, "--network", "tiny") as running:
        yield running


def status(app: RunningApp, method: str, path: str, body: bytes | None = None, **headers: str) -> int:
    return app.raw(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})[0]


def cookie(app: RunningApp) -> str:
    _, headers, _ = app.raw("GET", f"/?token={app.token}")
    return headers["set-cookie"].split(";")[0]


def test_the_address_with_its_token_gives_the_page_and_a_cookie(app: RunningApp) -> None:
    found, headers, page = app.raw("GET", f"/?token={app.token}")
    assert found == 200
    assert f'<meta name="fc7-token" content="{app.token}">' in page.decode()
    attributes = [part.strip().lower() for part in headers["set-cookie"].split(";")[1:]]
    assert {"httponly", "samesite=strict", "path=/"} <= set(attributes)


def test_every_answer_has_the_policy(app: RunningApp) -> None:
    for path in (f"/?token={app.token}", "/", "/api/state", "/static/main.js", "/nowhere"):
        headers = app.raw("GET", path, headers={"Cookie": cookie(app)} if path != "/" else None)[1]
        assert headers["content-security-policy"] == PAGE, path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "cache-control" in headers
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    ["/", "/?token=x", "/static/main.js", "/api/state", "/api/images", "/api/thumb/0", "/api/exports/0"],
)
def test_without_a_token_nothing_is_shown(app: RunningApp, path: str) -> None:
    found, _, body = app.raw("GET", path)
    assert found == 403
    assert app.token.encode() not in body
    assert status(app, "GET", path, X_FC7_Token="wrong") == 403
    assert status(app, "GET", path, Cookie=f"fc7-{app.port}=wrong") == 403


def test_the_cookie_shows_and_does_not_change(app: RunningApp) -> None:
    assert status(app, "GET", "/api/state", Cookie=cookie(app)) == 200
    assert status(app, "POST", "/api/classes", CHANGE, Cookie=cookie(app)) == 403
    assert status(app, "PUT", "/api/upload?class=cat&name=a.png", b"x", Cookie=cookie(app)) == 403
    # Nor does a token in the address.
    assert status(app, "POST", f"/api/classes?token={app.token}", CHANGE) == 403
    assert status(app, "GET", f"/api/state?token={app.token}") == 403
    assert status(app, "POST", "/api/classes", CHANGE, X_FC7_Token=app.token) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "[::1]:80", ""]
)
def test_another_host_is_refused(app: RunningApp, host: str) -> None:
    """As after DNS rebinding, when the attacker's name leads here."""
    assert status(app, "GET", "/api/state", Host=host, X_FC7_Token=app.token) == 403
    assert status(app, "GET", f"/?token={app.token}", Host=host) == 403
    assert status(app, "POST", "/api/classes", CHANGE, Host=host, X_FC7_Token=app.token) == 403
    assert status(app, "GET", "/api/state", Host=f"localhost:{app.port}", X_FC7_Token=app.token) == 200


def test_two_hosts_are_refused(app: RunningApp) -> None:
    with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
        hosts = f"Host: 127.0.0.1:{app.port}\r\nHost: evil.example\r\n"
        connection.sendall(f"GET /api/state HTTP/1.1\r\n{hosts}X-FC7-Token: {app.token}\r\n\r\n".encode())
        assert connection.recv(100).split()[1] in (b"400", b"403")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_is_refused(app: RunningApp, origin: str) -> None:
    assert status(app, "POST", "/api/classes", CHANGE, Origin=origin, X_FC7_Token=app.token) == 403
    assert status(app, "GET", "/api/state", Origin=origin, Cookie=cookie(app)) == 403
    assert status(app, "OPTIONS", "/api/classes", Origin=origin, Access_Control_Request_Method="POST") == 403
    own = f"http://127.0.0.1:{app.port}"
    assert status(app, "POST", "/api/classes", CHANGE, Origin=own, X_FC7_Token=app.token) == 200


@pytest.mark.parametrize(
    "path",
    ["/static/../web.py", "/static/..%2fweb.py", "/static/%2e%2e%2fweb.py", "/static/..\\web.py", "/static/",
     "/static//etc/passwd", "/static/%00", "/api/thumb/../../etc/passwd",
     "/api/exports/..%2f..%2fcorrections.csv"],
)  # fmt: skip
def test_files_have_names_and_no_paths(app: RunningApp, path: str) -> None:
    assert app.raw("GET", path, headers={"X-FC7-Token": app.token})[0] == 404


def test_images_are_numbers(app: RunningApp) -> None:
    for path, expected in (("/api/thumb/0", 200), ("/api/thumb/6", 404), ("/api/thumb/-1", 404),
                           ("/api/thumb/red%2F000.png", 404), ("/api/thumb/0?h=ffffffff", 404)):  # fmt: skip
        assert app.raw("GET", path, headers={"X-FC7-Token": app.token})[0] == expected, path


def test_a_body_has_its_bound_whether_it_says_its_size_or_not(app: RunningApp) -> None:
    most = 64 << 20
    assert "at most 67,108,864 bytes" in app.refusal("PUT", "/api/upload?name=a.png", bytes(most + 1), 413)
    assert "at most 4,194,304 bytes" in app.refusal("POST", "/api/labels", b" " * (4 << 20) + b"{}", 413)
    with socket.create_connection(("127.0.0.1", app.port), timeout=30) as connection:
        head = f"PUT /api/upload?name=a.png HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\n"
        connection.sendall(f"{head}X-FC7-Token: {app.token}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        try:
            for _ in range(80):
                connection.sendall(piece)
        except OSError:
            pass  # the server has heard enough
        assert connection.recv(100).split()[1] == b"413"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"rows": [1.5], "label": "a"}',
                                  b'{"rows": ["0"]}',
                                  b'{"rows": [true], "label": ""}', b'{"rows": [0], "label": 5}',
                                  b"\xff"])  # fmt: skip
def test_a_wrong_request_is_told_in_a_sentence(app: RunningApp, body: bytes) -> None:
    found, _, answer = app.raw("POST", "/api/labels", body, {"X-FC7-Token": app.token})
    assert found in (400, 409)
    assert json.loads(answer)["error"]


def test_the_server_listens_on_this_machine_only(app: RunningApp) -> None:
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]] if Path(
        "/proc/net/tcp"
    ).exists() else pytest.skip("no /proc/net/tcp")  # fmt: skip
    port = f"{app.port:04X}"
    assert {line[1] for line in listening if line[1].endswith(f":{port}") and line[3] == "0A"} == {
        f"0100007F:{port}"
    }
