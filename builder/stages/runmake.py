"""Run make with all its output in a log, what matters of it shown, and say what a failed one died of."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from builder.stages.common import NO_SPACE, StageError, progress

# kbuild's lines for what `Kbuild.objects` estimates: objects of the kernel, not of its host tools.
_OBJECT = re.compile(r"  (?:CC|AS)(?: \[M\])? +((?!/|scripts/|tools/)\S+)$")
_NOTABLE = re.compile(
    r"(?:^|[ :])(?:fatal )?error: |^\S+:\d+(?::\d+)?: warning: |^(?:WARNING|ERROR): modpost: |\*\*\* "
    r"|^\S*ld(?:\.bfd)?: (?!.*: in function )|undefined reference to |" + NO_SPACE.pattern
)
# The first of these that the log has, in this order, is the failure's cause; make's own line comes last of all.
_CAUSES = (
    re.compile(r"^\S+?:\d+(?::\d+)?: (?:fatal )?error: .*"),
    re.compile(r"^\S+?:\d+: Error: .*"),
    re.compile(r"^ERROR: modpost: .*"),
    re.compile(r".*undefined reference to .*|^\S*ld(?:\.bfd)?: .*(?:error|cannot|failed|undefined).*"),
    re.compile(r".*(?:^|[ :])(?:fatal )?error: .*", re.IGNORECASE),
    re.compile(r"\S*sh: (?:\d+: |line \d+: )?\S+: (?:command )?not found"),
    re.compile(r".*\*\*\* (?!Waiting for unfinished jobs|\[).*"),
    re.compile(r".*\*\*\* \[.*"),
)
_KILLED = re.compile(r".*Killed signal terminated program|.*\*\*\* \[.*\] (?:Error 137|Killed)$")
"""What gcc's driver says, and make of what a shell has run (128 + SIGKILL), or of what it has run itself."""
_LOG_SECONDS = 7 * 86400
_SECONDS_BETWEEN_EVENTS = 0.5
_SECONDS_TO_STOP = 5


class MakeError(StageError):
    """make failed. `whole`: it came to its own end, and took away what it had half made."""

    whole = True


class Make:
    """Runs make, with all its output in a log file and what matters on standard output.

    Args:
        expected: How many objects there will be.
        held: File descriptors that make and all that it starts have open, too.
    """

    def __init__(self, log: Path, environment: dict[str, str], expected: int, *, held: Sequence[int] = ()) -> None:
        self.held = held
        self.log = log
        self.environment = environment
        self.expected = expected
        self.done = 0
        self.announced = 0.0

    def run(self, argv: Sequence[str], more: Mapping[str, str] | None = None) -> None:
        """Run make to its end.

        Args:
            more: What its environment has beside `environment`.

        Raises:
            MakeError: It failed; the details are the log's lines around the first error.
        """
        with self.log.open("ab") as log:
            start = log.tell()
            log.write(f"$ {' '.join(argv)}\n".encode())
            # In a process group of its own, so that stopping this program can stop all that make has started.
            process = subprocess.Popen(
                argv,
                env={**self.environment, **(more or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
                pass_fds=self.held,
            )
            try:
                assert process.stdout
                for line in process.stdout:
                    log.write(line)
                    self.follow(line.decode(errors="replace").rstrip("\n"))
                code = process.wait()
            except BaseException:
                stop_group(process)
                raise
        if code != 0:
            text = self.log.read_bytes()[start:].decode(errors="replace")
            raise explain_failure(text.splitlines(), code)

    def note(self, line: str) -> None:
        """Write a line of this program's own to the log."""
        with self.log.open("a", errors="backslashreplace") as log:
            log.write(f"{line}\n")

    def follow(self, line: str) -> None:
        """Report one line of make's output: progress, or a warning or error as it is."""
        if match := _OBJECT.match(line):
            self.done += 1
            now = time.monotonic()
            if now - self.announced >= _SECONDS_BETWEEN_EVENTS:
                self.announced = now
                progress(min(self.done, self.expected), self.expected, match[1])
        elif _NOTABLE.search(line):
            print(line, flush=True)


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything in its group: first with SIGTERM, for make to tidy up, then outright."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # a second one must not cut this short
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_STOP)


def explain_failure(lines: Sequence[str], code: int) -> MakeError:
    """The error for a failed make, from the lines that it printed."""
    at, cause = _cause(lines)
    around = list(lines[max(0, at - 5) : at + 15])
    if any(map(NO_SPACE.search, lines)):
        error = MakeError(
            "no space left on the disk while compiling",
            hint="free some space for the container engine (its caches hold the most), then build again",
            details=around,
        )
        error.whole = False
        return error
    if code < 0 or any(map(_KILLED.match, lines)):
        error = MakeError(
            "a program of the compile was killed, most likely for lack of memory",
            hint="give the container engine more memory or fewer CPUs",
            details=around,
        )
        error.whole = False
        return error
    return MakeError(cause, hint="the whole log is in dist/build.log", details=around)


def _cause(lines: Sequence[str]) -> tuple[int, str]:
    for pattern in _CAUSES:
        for number, line in enumerate(lines):
            if match := pattern.match(line):
                return number, match[0].strip()
    return max(0, len(lines) - 15), "make failed"


def new_log(folder: Path, release: str) -> Path:
    """A file for the log that no other build has, in a folder that builds share; old ones are cleared on the way."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.log"):
        with contextlib.suppress(FileNotFoundError):  # another build clears them too
            if old.stat().st_mtime < time.time() - _LOG_SECONDS:
                old.unlink()
    file, name = tempfile.mkstemp(prefix=f"{release}-", suffix=".log", dir=folder)
    os.close(file)
    return Path(name)


def make_environment(epoch: int) -> dict[str, str]:
    """The environment that makes the kernel's bytes depend on its input only."""
    return {
        **os.environ,
        "LC_ALL": "C",
        "LOCALVERSION": "",
        "KBUILD_BUILD_TIMESTAMP": time.strftime("%a %b %e %H:%M:%S UTC %Y", time.gmtime(epoch)),
        "KBUILD_BUILD_USER": "rosk",
        "KBUILD_BUILD_HOST": "rosk",
        "KBUILD_BUILD_VERSION": "1",
    }


def cpus() -> int:
    """How many CPUs this process may use: its affinity, limited by the control group's quota."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no control group, or its quota is "max"
        return allowed
