"""What every test may rely on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# For tests that run ONNX Runtime themselves, to compare with; `extract.engine.engine` does it for fc7.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell starts background jobs with SIGINT ignored, and every child inherits that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def no_choice_of_the_users() -> Iterator[None]:
    """Whoever runs the tests may have chosen a default network, and their machine may have any engine.

    Numbers and messages are those of ONNX Runtime's CPU provider, but where a test says otherwise.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FC7_NETWORK", raising=False)
        patch.setenv("FC7_DEVICE", "cpu")
        yield


@pytest.fixture
def every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` may take whatever there is."""
    monkeypatch.delenv("FC7_DEVICE")


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[Path]:
    """Where there are folders that we may not write or enter; root is made to be nobody for a while."""
    folders = {tmp_path / "read-only": 0o555, tmp_path / "closed": 0o000}
    for folder, mode in folders.items():
        folder.mkdir()
        folder.chmod(mode)
    is_root = os.geteuid() == 0
    # pytest's own folders: one more of them where several processes run the tests.
    above = {folder: folder.stat().st_mode for folder in (tmp_path, *list(tmp_path.parents)[:3])}
    above = {folder: mode for folder, mode in above.items() if mode & 0o005 != 0o005}
    if is_root:
        for folder in above:
            folder.chmod(0o755)
        os.seteuid(65534)
    yield tmp_path
    if is_root:
        os.seteuid(0)
        for folder, mode in above.items():
            folder.chmod(mode)
    for folder in folders:
        folder.chmod(0o755)


# Two processes share the files in this order. A long one that came last would be waited for alone.
LONGEST = ("test_extract_kills.py", "test_ray.py", "test_report.py", "test_cache_kill.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)
