"""Runs the programs that are measured, and those that prepare for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOUR = 3600.0
_TAIL = 3000

Argv = Sequence[str | Path]


class BenchmarkError(Exception):
    """A row, or the whole benchmark, cannot be measured; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A program that came to a good end; `seconds` is its wall time."""

    seconds: float
    stdout: str


def run(
    argv: Argv,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    seconds: float = 3 * HOUR,
) -> Done:
    """Run a program to its end.

    Args:
        env: Variables to add to this process's.
        log: The file that its standard error is added to.
        seconds: How long it may take.

    Raises:
        BenchmarkError: It failed, took too long, or is not there.
    """
    start = time.monotonic()
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{argv[0]} took longer than {seconds:.0f} s") from error
    except OSError as error:
        raise BenchmarkError(f"{argv[0]} cannot be run: {error}") from error
    taken = time.monotonic() - start
    if log is not None:
        with log.open("a") as file:
            file.write(f"$ {' '.join(map(str, argv))}\n{done.stderr}\n")
    if done.returncode:
        said = (done.stdout + done.stderr)[-_TAIL:]
        raise BenchmarkError(f"{' '.join(map(str, argv[:4]))} … failed with exit code {done.returncode}\n{said}")
    return Done(seconds=taken, stdout=done.stdout)


def empty_folder(folder: Path) -> None:
    """Make a folder, empty."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
