"""make's log in a folder that builds share, and a make that found no room."""

from __future__ import annotations

import fcntl
import os
import select
import signal
from pathlib import Path

import pytest

from builder.stages.runmake import Make, explain_failure, new_log

RELEASE = "6.12.99-acme"
STOP = "make[2]: *** [/src/Makefile:1992: .] Error 2"


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


@pytest.mark.parametrize("said", ["No space left on device", "Disk quota exceeded"])
def test_a_make_without_room_is_not_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str) -> None:
    error = explain_failure([f"as: x.o: {said}", "x.c:1:1: error: other", STOP], 2)
    assert "no space left on the disk" in error.what
    assert not error.whole
    Make(tmp_path / "log", {}, 10).follow(f"mv: cannot move x.o: {said}")
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("said", ["Error 137", "Killed"])
def test_a_make_of_which_something_was_killed_is_not_whole(said: str) -> None:
    """Of a program, not of what one says."""
    assert not explain_failure([f"make[3]: *** [scripts/Makefile.build:243: net/core.o] {said}", STOP], 2).whole
    assert explain_failure([f"net/core.c:7:1: error: {said}", STOP], 2).whole


def test_a_source_that_names_the_error_has_room() -> None:
    error = explain_failure(["x.c:4:5: error: 'ENOSPC' undeclared", "    4 |  return -ENOSPC;", STOP], 2)
    assert error.what == "x.c:4:5: error: 'ENOSPC' undeclared"
    assert error.whole


def test_what_outlives_make_holds_its_lock(tmp_path: Path) -> None:
    """The engine may be killed, and with it its own lock on the object tree; another build waits for the rest."""

    def free() -> bool:
        other = os.open(tmp_path, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(other)
        return True

    lock = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    left = f"sleep 100 >/dev/null 2>&1 & echo $! >{tmp_path}/pid"
    Make(tmp_path / "log", dict(os.environ), 1, held=(lock,)).run(["sh", "-c", left])
    os.close(lock)
    pid = int((tmp_path / "pid").read_text())
    watch = os.pidfd_open(pid)
    assert not free()
    os.kill(pid, signal.SIGKILL)
    select.select([watch], [], [], 10)
    os.close(watch)
    assert free()
