"""What the compiler cache costs while it is empty: a part of the kernel, compiled as rosk does it, with and without."""

from __future__ import annotations

import shutil

from benchmarks.commands import empty_folder
from benchmarks.plain import PART, SOURCE, STAGE_ENVIRONMENT, PlainTree, jobs
from benchmarks.results import Sample
from benchmarks.rows import PLAIN, ROSK


class PartOfKernel:
    """A part of plain's source, with plain's config, in an object tree of its own."""

    def __init__(self, plain: PlainTree) -> None:
        self.plain, self.work = plain, plain.work
        self.folder = self.work.folder / "part"

    def build_both(self, *, backwards: bool) -> list[tuple[str, Sample]]:
        """Compile it without the compiler cache and with an empty one, or the other way round."""
        sides = ((PLAIN, "-"), (ROSK, f"{PART}/ccache"))
        return [(side, self._build(cache)) for side, cache in (reversed(sides) if backwards else sides)]

    def _build(self, cache: str) -> Sample:
        """Time the compile alone: what make prepares for any part of the kernel is there already."""
        for name in ("obj", "ccache"):
            empty_folder(self.folder / name)
        shutil.copyfile(self.plain.config, self.folder / "obj/.config")
        self._make(cache, "prepare", "modules_prepare")
        return self._make(cache, *self.work.kit.part)

    def _make(self, cache: str, *targets: str) -> Sample:
        given = [cache, str(self.work.state.epoch), str(jobs()), SOURCE, f"{PART}/obj"]
        return self.plain.container.run(["python3", "/bench/part.py", *given, *targets], STAGE_ENVIRONMENT)
