"""The tags of a build's images, until its release takes its place.

BuildKit gives them to new images as soon as these are there: before the checks, and also where another target of the
solve fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress

from builder.engine.base import Engine
from builder.engine.install import Say
from builder.errors import EngineError

_HOSTS = ("docker.io", "docker.io/library")
"""What an engine writes before a name that has no registry."""


class ImageTags(AbstractContextManager["ImageTags"]):
    """Where the block fails, no tag is left with an image that the block has given it.

    A tag has its image before again where the engine still has that (the classic image store keeps it, containerd's
    does not, unless it has another name); else there is none of that name, and the user is told.

    Args:
        tags: Tags that nobody else gives images meanwhile (`builder.solver.Builder.alone`).
        warn: Told of tags that are gone.
    """

    def __init__(self, engine: Engine, tags: Sequence[str], warn: Say) -> None:
        self._engine, self._tags, self._warn = engine, tags, warn
        self._given: set[str] = set()
        # Beside the solve, which opens sessions and reads Dockerfiles for longer before it has an image.
        thread = ThreadPoolExecutor(1)
        self._before = thread.submit(self._ids)
        thread.shutdown(wait=False)

    def note(self, reference: str) -> None:
        """Be told that an image is given a reference, in full or as it was asked for."""
        self._given |= {tag for tag in self._tags if reference in {tag, *(f"{host}/{tag}" for host in _HOSTS)}}

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._given:
            with suppress(EngineError):  # it is what failed
                self._give_back(self._before.result())

    def _give_back(self, before: Mapping[str, str | None]) -> None:
        for tag, image in self._ids().items():
            if tag not in self._given or image in {None, before[tag]}:
                continue
            if (old := before[tag]) and self._tagged(old, tag):
                continue
            with suppress(EngineError):  # a container may be using it
                self._engine.untag(tag)
                if old:
                    self._warn(f"there is no {tag} any more: the engine has let go of the image that this name had")

    def _tagged(self, image: str, tag: str) -> bool:
        try:
            self._engine.tag(image, tag)
        except EngineError:
            return False
        return True

    def _ids(self) -> dict[str, str | None]:
        """The image of each tag, or None."""
        if found := self._engine.image_ids(self._tags):
            return dict(found)
        return {tag: self._engine.image_id(tag) for tag in self._tags}
