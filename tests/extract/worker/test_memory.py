"""What memory there is: hand-made /proc and control groups, and real limits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fc7.models.common import memory
from tests.support import ROOT
from tests.support.extract.memory_group import memory_group

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
SHOW = "from fc7.models.common import memory; print(memory.available(), memory.swap())"


class System:
    """A folder that stands for /proc and what is mounted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setattr(memory, "_PROC", folder / "proc")
        monkeypatch.setattr(memory, "_of_limits", lambda: iter(()))
        memory._groups.cache_clear()
        self.write(
            "proc/meminfo", "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable: 8000 kB\nSwapFree: 7 kB\n"
        )

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def mounted(self, groups: str, mounts: str) -> None:
        self.write("proc/self/cgroup", groups)
        self.write("proc/self/mountinfo", mounts.replace("TOP", str(self.folder / "top")))


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    monkeypatch.setattr(memory, "_total", lambda: 5)
    yield System(tmp_path, monkeypatch)
    memory._groups.cache_clear()


V2 = "31 23 0:28 / TOP rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "30 23 0:27 / TOP/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "31 23 0:28 {root} TOP/memory rw,relatime - cgroup cgroup rw,memory\n"
)


def test_without_limits_it_is_what_the_kernel_says_can_be_had(system: System) -> None:
    assert memory.available() == 8000 << 10
    assert memory.swap() == 7 << 10


def test_the_tightest_group_above_counts_and_pages_of_files_can_be_had(system: System) -> None:
    system.mounted("0::/user.slice/job\n", V2)
    system.write("top/user.slice/memory.max", "1000000\n")
    system.write("top/user.slice/memory.current", "700000\n")
    system.write("top/user.slice/memory.stat", "anon 5\ninactive_file 100000\nactive_file 50000\nshmem 9\n")
    system.write("top/user.slice/job/memory.max", "max\n")
    system.write("top/user.slice/job/memory.current", "600000\n")
    assert memory.available() == 450_000
    system.write("top/user.slice/job/memory.max", "610000\n")
    assert memory.available() == 10_000
    system.write("top/user.slice/job/memory.current", "620000\n")
    assert memory.available() == 0


def test_version_1_has_other_names_and_a_number_for_no_limit(system: System) -> None:
    system.mounted("9:cpu:/elsewhere\n4:memory:/a/b\n", V1.format(root="/"))
    system.write("top/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n")
    system.write("top/memory/a/memory.limit_in_bytes", "1000000\n")
    system.write("top/memory/a/memory.usage_in_bytes", "900000\n")
    system.write("top/memory/a/memory.stat", "total_inactive_file 3000\ninactive_file 1\n")
    assert memory.available() == 103_000


def test_a_container_sees_a_part_of_the_groups_as_the_whole(system: System) -> None:
    system.mounted("4:memory:/docker/0123\n", V1.format(root="/docker/0123"))
    system.write("top/memory/memory.limit_in_bytes", "1000000\n")
    system.write("top/memory/memory.usage_in_bytes", "400000\n")
    assert memory.available() == 600_000


def test_where_nothing_is_told_it_is_the_memory_of_the_machine(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_PROC", Path("/nowhere"))
    assert (memory.available(), memory.swap()) == (5, 0)


@on_linux
def test_a_limit_of_the_address_space_counts() -> None:
    shown = subprocess.run(
        ["sh", "-c", 'ulimit -v 1000000 && exec "$@"', "sh", sys.executable, "-c", SHOW],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert 500_000_000 < int(shown.stdout.split()[0]) < 1_000_000 << 10


@on_linux
def test_the_limit_of_a_real_control_group_counts() -> None:
    with memory_group(300 << 20) as in_group:
        shown = subprocess.run(
            [*in_group, sys.executable, "-c", SHOW], cwd=ROOT, capture_output=True, text=True, check=True
        )
    assert 200 << 20 < int(shown.stdout.split()[0]) < 300 << 20
