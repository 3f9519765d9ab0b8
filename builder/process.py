"""The one place that runs other programs (the engine's client is run by python-on-whales, in `builder.engine`)."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from builder.errors import RoskError

log = logging.getLogger(__name__)

_STOP_SECONDS = 5.0
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "TERM", *_PROXIES)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The small environment that programs get: what they need to find files and the network, and nothing else."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", **(extra or {})}


def _words(argv: Sequence[str | Path]) -> list[str]:
    """A command line as text; the log has it."""
    words = [str(word) for word in argv]
    log.debug("run: %s", shlex.join(words))
    return words


@contextmanager
def _installed(words: Sequence[str], error: type[RoskError], hint: str) -> Iterator[None]:
    """Turn the start of a program that is not there, or is none, into an error."""
    try:
        yield
    except FileNotFoundError as missing:
        raise error(f"{words[0]} is not installed", hint=hint or f"install {words[0]}") from missing
    except OSError as refused:
        raise error(f"{words[0]} cannot be run: {refused.strerror}", hint=hint or "is it a program?") from refused


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: bytes | None = None,
    check: bool = True,
    timeout: float | None = None,
    error: type[RoskError] = RoskError,
    hint: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return its output as text.

    Args:
        argv: Program and arguments; never passed through a shell.
        env: Variables added to the small environment.
        input: Bytes for its standard input; empty when None.
        check: Raise when it exits with anything but 0.
        timeout: Seconds after which it is killed and `error` raised.
        error: The class of error to raise; `hint` is its next step.

    Raises:
        RoskError: (as `error`) The program is missing, failed, or ran out of time.
    """
    words = _words(argv)
    try:
        with _installed(words, error, hint):
            done = subprocess.run(
                words, env=environment(env), cwd=cwd, input=input or b"", capture_output=True, timeout=timeout
            )
    except subprocess.TimeoutExpired as late:
        raise error(f"{shlex.join(words)} did not finish in {timeout:g} s", hint=hint) from late
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode != 0:
        raise error(
            f"{shlex.join(words)} failed with exit code {done.returncode}",
            hint=hint,
            details=(err or out).strip().splitlines()[-20:],
        )
    return subprocess.CompletedProcess(words, done.returncode, out, err)


@contextmanager
def output_of(argv: Sequence[str | Path], *, error: type[RoskError] = RoskError, hint: str = "") -> Iterator[IO[bytes]]:
    """Start a program, whose standard output is read while the block runs; one that is not at its end then is killed.

    It waits while nobody reads: however much it has to say, no more than a pipe holds is there at once.

    Args:
        argv: Program and arguments; never passed through a shell.
        error: The class of error to raise; `hint` is its next step.

    Raises:
        RoskError: (as `error`) The program is missing; or it failed, when all that it said was read.
    """
    words = _words(argv)
    with TemporaryFile() as said:
        with _installed(words, error, hint):
            process = subprocess.Popen(
                words, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
            )
        assert process.stdout is not None
        with process:
            try:
                yield process.stdout
                ended = not process.stdout.read(1)
            except BaseException:
                process.kill()
                raise
            if not ended:
                process.kill()
        if ended and process.returncode:
            said.seek(0)
            details = said.read().decode(errors="replace").strip().splitlines()[-20:]
            what = f"{shlex.join(words)} failed with exit code {process.returncode}"
            raise error(what, hint=hint, details=details)


def follow(
    argv: Sequence[str | Path],
    on_line: Callable[[str], None],
    *,
    env: Mapping[str, str] | None = None,
    error: type[RoskError] = RoskError,
    hint: str = "",
) -> int:
    """Run a program, hand on each line that it prints (of both streams, in their order), and return its exit code.

    It leads a process group of its own; whatever ends this function, the group is told to stop, and killed when it goes
    on for longer than a few seconds.

    Raises:
        RoskError: (as `error`) The program is missing.
    """
    words = _words(argv)
    with _installed(words, error, hint):
        process = subprocess.Popen(
            words,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    assert process.stdout is not None
    with process:
        try:
            for line in process.stdout:
                on_line(line.decode(errors="replace").rstrip("\r\n"))
            return process.wait()
        finally:
            if process.poll() is None:
                _stop_group(process)


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
            return


def run_attached(argv: Sequence[str | Path], *, error: type[RoskError] = RoskError, hint: str = "") -> None:
    """Run a program of the user's with the user's whole environment and terminal, so that it can ask for a passphrase.

    What it prints goes to standard error: standard output is rosk's own.

    Raises:
        RoskError: (as `error`) The program is missing, or failed; it said why.
    """
    words = _words(argv)
    env = dict(os.environ)
    with suppress(OSError):
        env.setdefault("GPG_TTY", os.ttyname(0))  # gpg's agent asks there (gpg-agent(1))
    with _installed(words, error, hint), _terminal_kept():
        done = subprocess.run(words, env=env, stdout=2)
    if done.returncode != 0:
        raise error(f"{words[0]} failed with exit code {done.returncode}; it says above why", hint=hint)


@contextmanager
def _terminal_kept() -> Iterator[None]:
    """Have the terminal after the block as it was: one who is stopped while it reads a passphrase leaves it mute."""
    try:
        before = termios.tcgetattr(sys.stdin)
    except (OSError, ValueError, termios.error):  # there is none
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
