"""What the checks have found good in the release before, of packages that may still be the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.release import MANIFEST, VERIFY, describe
from builder.verify.model import Finding, Status

_CHECKED_BY = "checked_by"


@dataclass(frozen=True, kw_only=True)
class Proved:
    """What is known of a release that has passed.

    Attributes:
        sums: The SHA-256 (hex) of each of its files, by the file's name (`build-linux-V-A.tar.gz`, `config`).
        findings: What was found by each check that found it good, by the check's name.
    """

    sums: Mapping[str, str]
    findings: Mapping[str, Finding]


def checked_by(code: str) -> dict[str, str]:
    """What `verify.json` is to say of who has checked: other code, or another Python's, may see other things.

    Args:
        code: See `builder.current.own_code`.
    """
    return {_CHECKED_BY: f"{code} {sys.version}"}


def read_proved(dist: Path, code: str) -> Proved | None:
    """What this very code has found good in the release of a folder; None where there is no such release, or it did
    not pass.

    What lies in the folder now does not matter: the manifest names each file's content, and so does what is kept of
    the checks, by the manifest that it names.
    """
    try:
        verified = json.loads((dist / VERIFY).read_text())
        outputs = json.loads((dist / MANIFEST).read_text())["outputs"]
        if (verified[_CHECKED_BY], verified["passed"]) != (checked_by(code)[_CHECKED_BY], True):
            return None
        if verified["manifest"] != describe(dist / MANIFEST)["sha256"]:
            return None
        return Proved(
            sums={Path(name).name: row["sha256"] for name, row in outputs.items()},
            findings=dict(_good(verified["checks"])),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # none, half of one, or one of another rosk
        return None


def _good(checks: Any) -> list[tuple[str, Finding]]:
    good = [row for row in checks if row["status"] == Status.OK]
    return [(str(row["name"]), Finding(status=Status.OK, saw=str(row["saw"]))) for row in good]
