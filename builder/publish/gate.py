"""Nothing is published that `rosk verify` fails: the fast checks, or what they have found of exactly these bytes."""

from __future__ import annotations

import json
from collections.abc import Callable

from builder.errors import VerifyError
from builder.inputs.store import file_sha256
from builder.release import MANIFEST, VERIFY, shown_path
from builder.releasefolder import ReleaseFolder
from builder.verify.model import Status
from builder.verify.run import choose, examine

_PASSING = (Status.OK, Status.SKIPPED)


def check(release: ReleaseFolder, *, note: Callable[[str], None]) -> None:
    """See that a release passes the fast checks of `rosk verify`.

    What `verify.json` has is believed when it is about this manifest, and so about the files that SHA256SUMS sums up
    (`artifact.release_files` has seen to that); a check that failed then, fast or not, still has.

    Raises:
        VerifyError: It does not pass.
    """
    recorded = _recorded(release)
    failed = [name for name, status in recorded.items() if status == Status.FAILED]
    if not failed and all(recorded.get(each.name) in _PASSING for each in choose((), cheap=True)):
        return
    if not failed:
        note(f"checking {shown_path(release.root)}")
        failed = [result.check.name for result in examine(release.root, cheap=True).failed]
    if failed:
        raise VerifyError(
            f"the release does not pass its checks, and is not published: {', '.join(failed)}",
            where=release.root,
            hint=f"rosk verify {shown_path(release.root)} says what is wrong with it",
        )


def _recorded(release: ReleaseFolder) -> dict[str, str]:
    """Name and status of the checks in `verify.json`; empty when that is about another release, or cannot be read."""
    try:
        found = json.loads((release.root / VERIFY).read_text())
        if found["manifest"] != file_sha256(release.root / MANIFEST):
            return {}
        return {str(each["name"]): str(each["status"]) for each in found["checks"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
