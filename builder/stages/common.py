"""What every stage program shares: how it fails, how it reports, how it runs other programs.

A stage runs inside a build as `python3 -m builder.stages.NAME` with the standard library only. It talks to the
host by lines on its standard output that start with `MARK` and go on with one JSON object (see `emit`), and by JSON
files among its outputs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

TICK_SECONDS = 0.02
"""Longer than the grain of the times of files (a jiffy, at most 10 ms)."""
MARK = "##rosk "
NO_SPACE = re.compile(r"(?i:no space left on (?:device|the disk)|disk quota exceeded)")
"""What programs say, and rosk itself, where a disk is full, or what a user may have of it. The errors' names, such as
ENOSPC, are not in it: a compiler prints them with every line of source that has them."""


class StageError(Exception):
    """A stage cannot go on; the host shows it as an error of its own.

    Args:
        what: One line: what is wrong.
        hint: One line: what to do about it.
        where: A file of the build context (`patches/a.patch`, `lists/modules.list`, `config/kernel-config`).
        line: The 1-based line in it.
        details: Further lines, for example one per unlisted module.
    """

    def __init__(
        self,
        what: str,
        *,
        hint: str = "",
        where: str | None = None,
        line: int | None = None,
        details: Iterable[str] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.where = where
        self.line = line
        self.details = list(details)

    def as_event(self) -> dict[str, Any]:
        """The JSON object that `emit` sends for it."""
        return {
            "event": "error",
            "what": self.what,
            "hint": self.hint,
            "where": self.where,
            "line": self.line,
            "details": self.details,
        }


def put_program(path: Path, text: str) -> None:
    """Write a script that can be run; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def emit(event: Mapping[str, Any]) -> None:
    """Send one event to the host: `{"event": "error" | "progress", ...}`."""
    print(MARK + json.dumps(event, ensure_ascii=True), flush=True)


def progress(done: int, total: int, text: str = "") -> None:
    """Tell the host how far this stage is: `done` of `total` (an estimate; 0 when unknown), now at `text`."""
    emit({"event": "progress", "done": done, "total": total, "text": text})


def stage_main(body: Callable[[], None]) -> NoReturn:
    """Run a stage's `body` and exit: 0, or 1 after its `StageError` was sent to the host."""
    try:
        body()
    except StageError as error:
        emit(error.as_event())
        sys.exit(1)
    sys.exit(0)


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end with no input; its output is text, standard error apart.

    Raises:
        StageError: It failed and `check` is true; the details are the last lines it printed.
    """
    words = [str(word) for word in argv]
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if check and done.returncode != 0:
        shown = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise StageError(f"{' '.join(words)} failed with exit code {done.returncode}", details=shown[-20:])
    return done


def write_json(path: Path, value: object) -> None:
    """Write a JSON file in one fixed form (sorted keys), so that equal content is equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def warning(kind: str, what: str, *, where: str | None = None, line: int | None = None) -> dict[str, Any]:
    """One entry of a report's `warnings`: `kind` is a fixed word, `what` one line for people."""
    return {"kind": kind, "what": what, "where": where, "line": line}
