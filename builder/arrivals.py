"""The files of a solve, taken into the staging folders while BuildKit is still at the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from builder import graph
from builder.replan import target_name
from builder.sourceparts import KnownSource
from builder.stagenames import FILE_SUFFIX
from builder.summing import Sums

if TYPE_CHECKING:
    from builder.joint import Member


class Arrivals(AbstractContextManager["Arrivals"]):
    """The files of a solve, taken when they are there, while BuildKit is still at the images.

    Args:
        sources: Name of a kernel whose source package comes to what is known of it.
        then, sums: See `JointBuilder`.
    """

    def __init__(
        self,
        members: Sequence[Member],
        sources: Mapping[str, KnownSource | None],
        then: Callable[[str], None],
        sums: Sums,
    ) -> None:
        self._takes: dict[str, _Take] = {}
        for each in members:
            own = str if len(members) == 1 else partial(target_name, each.name)
            self._takes[own("release")] = _Take(each.tar, each.take_release, partial(then, each.name))
            if each.name in sources:
                take = partial(each.take_source, sources[each.name])
                noted = partial(each.note_source, sums)
                self._takes[own(f"{graph.SOURCE}{FILE_SUFFIX}")] = _Take(each.package(graph.SOURCE), take, noted)

    def __exit__(self, *_: object) -> None:
        for take in self._takes.values():
            take.thread.shutdown(cancel_futures=True)

    def exported(self, target: str) -> None:
        """Begin to take what a target has exported; once more in a second solve."""
        if target in self._takes:
            self._takes[target].begin()

    def take_all(self) -> None:
        """Have all files in the staging folders, after the last solve."""
        for take in self._takes.values():
            take.end()


class _Take:
    """One file of a solve.

    Args:
        archive: What the solve writes.
        take: Has in the staging folder what the archive holds, and removes it.
        then: Called after that, while the solve goes on.
    """

    def __init__(self, archive: Path, take: Callable[[Path], None], then: Callable[[], None] = lambda: None) -> None:
        self._archive, self._take, self._then = archive, take, then
        self._taken: list[tuple[Path, Future[None]]] = []
        # What comes in a second solve is taken after what came in the first.
        self.thread = ThreadPoolExecutor(1)

    def begin(self) -> None:
        """Begin to take the archive, under a name of its own: the next solve may write one while that goes on."""
        own = self._archive.with_name(f"{self._archive.name}.{len(self._taken)}")
        with suppress(FileNotFoundError):
            self._archive.rename(own)
            self._taken.append((own, self.thread.submit(self._run, own)))

    def _run(self, archive: Path) -> None:
        self._take(archive)
        with suppress(Exception):  # nothing relies on it
            self._then()

    def end(self) -> None:
        """Have the archive of the last solve taken."""
        archive, failed = self._archive, True
        if self._taken:
            own, taken = self._taken[-1]
            failed = taken.exception() is not None
            archive = archive if archive.exists() else own
        if failed or archive == self._archive:
            self._take(archive)
