"""Who speaks for a run whose local Ray node died; without Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from fc7.extract.cluster import guard


def test_a_lock_that_is_gone_costs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "held_locks", lambda: [tmp_path / "gone.lock"])
    with guard.ExitReporter([]) as speaker:
        assert speaker._process is None
