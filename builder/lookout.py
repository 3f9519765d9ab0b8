"""What the checks read of a release that is in the making, read while BuildKit is still at the images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from builder import release
from builder.summing import Sums

if TYPE_CHECKING:
    from builder.proof import Ahead
    from builder.verify.subject import Subject


class Lookout(AbstractContextManager["Lookout"]):
    """Looks at one release. Nothing relies on it: what it does not find the checks read for themselves.

    Args:
        dist: The release before, whose packages are the new one's where they are the same.
        folder: The staging folder of the new one.
        known: What was summed up already, of `dist` and of the new one.
    """

    def __init__(self, dist: Path, folder: Path, known: Sums) -> None:
        self._dist, self._folder, self._known = dist, folder, known
        self._ahead: Ahead | None = None
        self._thread = ThreadPoolExecutor(1)
        self._before = self._thread.submit(self._look_before)

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        if self._ahead is not None:
            self._ahead.close()

    @property
    def subject(self) -> Subject | None:
        """What was read, to be examined."""
        return self._ahead.subject if self._ahead is not None else None

    def look(self) -> None:
        """Read the packages that are in the staging folder now, or can be; what was read of it before is forgotten."""
        from builder.verify.subject import INSTALLED  # noqa: PLC0415

        ahead = self._before.result()
        ahead.close()
        sums = release.read_sums(self._folder / "reports/sums")
        if all(release.has(self._dist, self._folder, sums[name], self._known) for name in INSTALLED):
            ahead.look(self._folder, self._known)

    def _look_before(self) -> Ahead:
        """Read what the release before is likely to leave to the new one, while the solve begins."""
        # These take a while, of which BuildKit takes more.
        from builder.proof import Ahead  # noqa: PLC0415

        self._ahead = Ahead()
        self._ahead.look_before(self._dist, self._folder / "before", self._known)
        return self._ahead
