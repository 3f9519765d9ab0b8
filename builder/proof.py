"""What a release has to pass before it takes the place of the one before."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path

from builder.errors import InputError, VerifyError
from builder.release import REPORT, VERIFY, reject, shown_path
from builder.releasefolder import find_release
from builder.report.kept import write_kept
from builder.report.run import report_text
from builder.summing import Identity, Sums, state_of
from builder.verify.proved import Proved, checked_by, read_proved
from builder.verify.run import SHOWN_DETAILS, Report, VerifyOptions, as_json, examine, look_ahead, subject_of
from builder.verify.subject import Subject

FAST = VerifyOptions(fast=True)


class Ahead:
    """What the checks look at in a release that is in the making, read while the rest of it is made.

    Nothing relies on it: without it the checks read for themselves.

    Args:
        proved: What is known of the release before.
    """

    def __init__(self, proved: Proved | None = None) -> None:
        self._proved = proved
        self._open = ExitStack()
        self._subject: Subject | None = None
        self._seen: dict[Path, tuple[Identity, int]] = {}

    @property
    def subject(self) -> Subject | None:
        """What was read, as long as the packages are those very files: what is proved is what is in the folder."""
        try:
            same = all(state_of(path) == seen for path, seen in self._seen.items())
        except OSError:
            same = False
        return self._subject if same else None

    def look(self, folder: Path, sums: Sums | None = None) -> None:
        """Read the packages in a staging folder, in the place of what was read of it before; never fails.

        Args:
            sums: What was summed up already.
        """
        self.close()
        try:
            self._seen = {path: state_of(path) for path in find_release(folder).packages.values()}
            subject = self._open.enter_context(subject_of(folder, cheap=True, sums=sums, proved=self._proved))
            look_ahead(subject)
        except Exception:
            self.close()
        else:
            self._subject = subject

    def close(self) -> None:
        """Forget what `look` has read."""
        self._subject = None
        self._open.close()


def check_release(folder: Path, dist: Path, *, code: str, ahead: Subject | None = None) -> None:
    """Run the fast checks over the staged release in a folder, and write what they saw and the report beside it.

    Args:
        dist: Where it would go, and where the one before is; when it does not pass it goes to `rejected` there.
        code: What rosk's own code was when the build began (`builder.current.own_code`).
        ahead: What was read of it already.

    Raises:
        VerifyError: A check failed.
    """
    try:
        # What was read ahead was read with what is known of the release before.
        found = examine(folder, cheap=True, ahead=ahead, proved=None if ahead else read_proved(dist, code))
    except OSError:  # the disk that it was unpacked to is full
        if ahead is None:
            raise
        found = examine(folder, cheap=True)
    write_kept(folder, VERIFY, {**checked_by(code), **as_json(found, FAST)})
    if not found.failed:
        _write_report(folder, found)
        return
    with suppress(InputError):  # what is wrong with it can be what the report is made of
        _write_report(folder, found)
    raise _rejected(found, reject(dist, folder))


def _write_report(folder: Path, found: Report) -> None:
    (folder / REPORT).write_text(report_text(folder, found.packages), encoding="utf-8")


def _rejected(found: Report, folder: Path) -> VerifyError:
    lines: list[str] = []
    for result in found.failed:
        lines += [f"{result.check.name}: {result.finding.saw}", *(f"  {line}" for line in result.finding.details)]
        lines.append(f"  it means: {result.check.meaning}")
    return VerifyError(
        f"what was built does not pass {len(found.failed)} of {len(found.results)} checks",
        details=lines[: 2 * SHOWN_DETAILS],
        hint=f"the release before is as it was; what was built is in {shown_path(folder)} (rosk verify {folder})",
    )
