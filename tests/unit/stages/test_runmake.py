"""make's log in a folder that builds share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.stages.runmake import new_log

RELEASE = "6.12.99-acme"


def test_old_logs_are_cleared(tmp_path: Path) -> None:
    for name in ("old.log", "new.log", "old.txt"):
        (tmp_path / name).touch()
    for name in ("old.log", "old.txt"):
        os.utime(tmp_path / name, (0, 0))
    made = new_log(tmp_path, RELEASE)
    assert {path.name for path in tmp_path.iterdir()} == {"new.log", "old.txt", made.name}
    assert made.name.startswith(RELEASE)


def test_a_log_that_another_build_clears_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda folder, _pattern: [folder / "gone.log"])
    assert new_log(tmp_path, RELEASE).exists()
