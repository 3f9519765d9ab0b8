"""The report of kernel-hardening-checker (github.com/a13xp0p0v/kernel-hardening-checker) on a project's config.

That is a program of its own, under the GPL-3.0: it is run, never imported, and is no dependency of rosk.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.errors import InputError
from builder.process import run

PROGRAM = "kernel-hardening-checker"
VARIABLE = "ROSK_HARDENING_CHECKER"
"""The variable that names the program where it is not in PATH."""

_INSTALL = (
    f"pipx install git+https://github.com/a13xp0p0v/{PROGRAM}, or apt install {PROGRAM} (Debian 14, and Debian 13 with "
    f"trixie-backports); {VARIABLE} names it where it is not in PATH"
)
_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One line of the report.

    Attributes:
        option: With `CONFIG_`.
        wanted: The value, or `is not set`.
        by: Who recommends it (`kspp`, `defconfig`, `a13xp0p0v`).
        why: What it is good for (`self_protection`, `cut_attack_surface`).
        result: The program's own words.
        ok: Whether the config follows it.
    """

    option: str
    wanted: str
    by: str
    why: str
    result: str
    ok: bool


def find_program() -> str:
    """The program.

    Raises:
        InputError: It is not there.
    """
    named = os.environ.get(VARIABLE)
    found = shutil.which(named or PROGRAM)
    if found is None:
        what = f"{VARIABLE} names no program: {named}" if named else f"{PROGRAM} is not installed"
        raise InputError(what, hint=_INSTALL)
    return found


def advise(text: str) -> tuple[Advice, ...]:
    """What the program says of a whole .config.

    Raises:
        InputError: It is not installed, is no such program, failed, or said nothing that can be understood.
    """
    program = find_program()
    with TemporaryDirectory(prefix="rosk-config-") as folder:
        file = Path(folder, "kernel.config")
        file.write_text(text)
        hint = f"is it {PROGRAM}? run {program} -c FILE yourself; {VARIABLE} names another"
        done = run([program, "-c", file, "-m", "json"], timeout=_SECONDS, error=InputError, hint=hint)
    try:
        return tuple(
            Advice(
                option=row["option_name"],
                wanted=str(row["desired_val"]),
                by=row["decision"],
                why=row["reason"],
                result=row["check_result"],
                ok=str(row["check_result"]).startswith("OK"),
            )
            for row in json.loads(done.stdout)
            if row.get("type", "kconfig") == "kconfig"
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{program} printed no report that is understood: {error}",
            hint=f"rosk knows the JSON of {PROGRAM} 0.6.17; {VARIABLE} names another program",
        ) from error
