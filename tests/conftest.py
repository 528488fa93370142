"""What every test may rely on."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell starts background jobs with SIGINT ignored, and every child inherits that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def no_default_network_of_the_users() -> Iterator[None]:
    """Whoever runs the tests may have chosen a default network for their own work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FC7_NETWORK", raising=False)
        yield


# Two processes share the files in this order. A long one that came last would be waited for alone.
LONGEST = ("test_extract_kills.py", "test_ray.py", "test_report.py", "test_cache_kill.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)
