"""Nothing is published that `rosk verify` fails: the fast checks, or what they have found of exactly these bytes.

Who signed a release is looked at anew each time: that depends on whom one trusts, and on signatures that come later.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from builder.errors import VerifyError
from builder.inputs.store import file_sha256
from builder.release import MANIFEST, SUMS, VERIFY, shown_path
from builder.releasefolder import ReleaseFolder
from builder.trust.check import is_signed
from builder.verify.model import Status
from builder.verify.run import choose, examine

_PASSING = (Status.OK, Status.SKIPPED)
_SIGNATURE = "signature"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What else a release has to pass, and what it need not; as for `rosk verify`.

    Attributes:
        keys: Files of public keys, of which one must have signed it; none: nobody need have.
        allow_unsigned: One that nobody has signed will do as well.
        allow_unchecked: A check that could not be done is no failure.
    """

    keys: tuple[Path, ...] = ()
    allow_unsigned: bool = False
    allow_unchecked: bool = False


def check(release: ReleaseFolder, *, note: Callable[[str], None], terms: Terms, own: bool = True) -> None:
    """See that a release passes the fast checks of `rosk verify`.

    What `verify.json` has is believed when it is about this manifest and this SHA256SUMS, and so about the files
    (`artifact.release_files` has seen to that); a check that failed then, fast or not, still has.

    Args:
        own: False: it has come from elsewhere, and its `verify.json` counts for nothing.

    Raises:
        VerifyError: It does not pass.
    """
    recorded = _recorded(release) if own else {}
    failed = [name for name, status in recorded.items() if status == Status.FAILED]
    keys = () if terms.allow_unsigned and not is_signed(release.root) else terms.keys
    wanted = [each.name for each in choose((), cheap=True) if each.name != _SIGNATURE or keys]
    left = [name for name in wanted if recorded.get(name) not in _PASSING]
    seen: list[str] = []
    hint = f"rosk verify {shown_path(release.root)} says what is wrong with it"
    if left and not failed:
        note(f"checking {shown_path(release.root)}")
        report = examine(release.root, cheap=True, only=left, keys=keys)
        bad = report.failed if terms.allow_unchecked else (*report.failed, *report.unchecked)
        failed = [result.check.name for result in bad]
        for result in bad:
            finding = result.finding
            seen += [f"{result.check.name}: {finding.saw}", *(f"  {line}" for line in finding.details[:3])]
        if not report.failed:
            hint = "install what these checks need, or accept that with rosk publish --allow-unchecked"
    if failed:
        raise VerifyError(
            f"the release does not pass its checks, and is not published: {', '.join(failed)}",
            where=release.root,
            details=seen,
            hint=hint,
        )


def _recorded(release: ReleaseFolder) -> dict[str, str]:
    """Name and status of the checks in `verify.json`; empty when that is about other bytes, or cannot be read."""
    try:
        found = json.loads((release.root / VERIFY).read_text())
        about = {"manifest": file_sha256(release.root / MANIFEST), "sums": file_sha256(release.root / SUMS)}
        if any(found[key] != sha256 for key, sha256 in about.items()):
            return {}
        statuses = {str(each["name"]): str(each["status"]) for each in found["checks"]}
        return {name: status for name, status in statuses.items() if name != _SIGNATURE}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
