"""Builds that are killed: a step of them in the engine, or rosk itself."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from builder.errors import RoskError
from tests.conftest import ROOT
from tests.graph.conftest import FakeProject
from tests.graph.edits import kernel_release

_LARGE = 2 << 20
"""Bytes that no chunk has of what the fake tree makes."""


def running(word: str) -> list[int]:
    """Processes with `word` in one of their arguments, apart from this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(word in each for each in words) and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found


def processes_of(release: str) -> Iterator[tuple[int, str]]:
    """ID and name of the processes of a compile step that is running now for this release."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "root/configured/kernel.release").read_text().strip() == release:
                yield int(folder.name), (folder / "comm").read_text().strip()


def kill(release: str, *, names: tuple[str, ...] = (), once: str = "make", after: float = 0) -> bool:
    """Kill processes of the compile step of this release outright.

    Args:
        names: The names of the processes to kill; without any, the step as a whole.
        once: Do so only when a process of this name runs there, and `after` seconds later.

    Returns:
        Whether there was something to kill.
    """
    if not any(name == once for _, name in processes_of(release)):
        return False
    time.sleep(after)
    return _kill(number for number, name in sorted(processes_of(release)) if not names or name in names)


def packing(release: str) -> list[int]:
    """The processes that pack the kernel package of this release now, in the engine."""
    return running(f"/packed/file/linux-{release}-x86.tar.gz")


def kill_packing(release: str, *, after: float | None = None) -> bool:
    """Kill those; returns whether there was something to kill.

    Args:
        after: So many seconds after they began; when None, once they have begun to write to the packing cache.
    """
    found = packing(release)
    if not found or (after is None and not any(map(_keeps, found))):
        return False
    time.sleep(after or 0)
    return _kill(packing(release))


def _keeps(process: int) -> bool:
    """Whether a step that packs has begun to put something large in its cache, since this process of it is there."""
    with suppress(OSError):
        folder = Path(f"/proc/{process}")
        begun = folder.stat().st_mtime
        found = (path.stat() for path in (folder / "root/cache").iterdir())
        return any(stat.st_mtime > begun and stat.st_size > _LARGE for stat in found)
    return False


def _kill(processes: Iterator[int] | list[int]) -> bool:
    killed = False
    for number in processes:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
            killed = True
    return killed


def killed_build(
    project: FakeProject,
    *,
    names: tuple[str, ...] = (),
    once: str = "make",
    after: float = 0,
    scope: str = "",
    release: str | None = None,
) -> bool:
    """Build, and kill the compile as `kill` does; whether the build failed of that (it may have been quicker).

    Args:
        release: The kernel release; that of the project's source tree when None.
    """
    release = release or kernel_release(project)
    return failed_build(project, partial(kill, release, names=names, once=once, after=after), scope=scope)


def failed_build(project: FakeProject, kill: Callable[[], bool], *, scope: str = "") -> bool:
    """Build, and meanwhile try to kill a part of it until that has succeeded; whether the build failed."""
    failed = threading.Event()

    def build() -> None:
        try:
            project.build(scope)
        except RoskError:
            failed.set()

    thread = threading.Thread(target=build)
    thread.start()
    while thread.is_alive() and not kill():
        time.sleep(0.01)
    thread.join()
    return failed.is_set()


def killed_rosk(project: FakeProject, moment: Callable[[str], bool]) -> bool:
    """Run the command `rosk build`, and kill it alone: what it has started has to find that out by itself.

    Args:
        moment: Asked, with what it has printed, whether it is time to.

    Returns:
        Whether it was killed; it may have been quicker.
    """
    temporary = project.root.with_name("tmp")  # where it leaves files that are of no use any more
    temporary.mkdir(exist_ok=True)
    output = temporary / "output"
    words = (ROOT / "rosk", "build", "-C", project.root)
    with output.open("wb") as file:
        process = subprocess.Popen(
            words, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": str(temporary)}
        )
    while process.poll() is None and not moment(output.read_text(errors="replace")):
        time.sleep(0.001)
    process.kill()
    return process.wait() == -signal.SIGKILL
