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
        code: What rosk's own code was when the build began (`builder.current.own_code`).
    """

    def __init__(self, dist: Path, folder: Path, known: Sums, code: str) -> None:
        self._dist, self._folder, self._known, self._code = dist, folder, known, code
        self._ahead: Ahead | None = None
        self._thread = ThreadPoolExecutor(1)
        self._ready = self._thread.submit(self._prepare)

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

        ahead = self._ready.result()
        ahead.close()
        sums = release.read_sums(self._folder / "reports/sums")
        if all(release.has(self._dist, self._folder, sums[name], self._known) for name in INSTALLED):
            ahead.look(self._folder, self._known)

    def _prepare(self) -> Ahead:
        """What takes a while, of which BuildKit takes more: the checks, and what is known of the release before."""
        from builder.proof import Ahead  # noqa: PLC0415
        from builder.verify.proved import read_proved  # noqa: PLC0415

        self._ahead = Ahead(read_proved(self._dist, self._code))
        return self._ahead
