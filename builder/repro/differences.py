"""What differs inside the files and images that are not the same, and what `diffoscope` says of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.differ import Differ, Difference, diff_lines
from builder.engine.docker import Docker
from builder.errors import EngineError, RoskError
from builder.process import run
from builder.repro.compare import compare

_DIFFOSCOPE_SECONDS = 180.0
_DIFFOSCOPE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Look:
    """Looks into what differs.

    Attributes:
        archives: The folder that receives the images that differ, as archives.
    """

    differ: Differ
    engine: Docker
    archives: Path

    def all(
        self, first: Path, second: Path, manifest: Mapping[str, Any], again: Mapping[str, Any]
    ) -> Iterator[Difference]:
        """The differences of two releases, whose files are in two folders."""
        for each in compare(manifest, again).compared:
            if each.same or each.name in manifest["images"]:
                continue
            name = Path(each.name).name
            if not (each.first and each.second):
                yield Difference(where=(name,), what="only one of the builds has it")
            else:
                yield from self.differ.files(first / name, second / name, name)
        for (tag, digest), (other, made) in zip(manifest["images"].items(), again["images"].items(), strict=True):
            if digest != made:
                yield from self.images(tag, digest, other)

    def images(self, tag: str, digest: str, other: str) -> Iterator[Difference]:
        """The differences of two images in the engine."""
        name = tag.rpartition("/")[2].partition(":")[0]
        where = f"image {name}"
        if self.engine.image_id(tag) != digest:
            yield Difference(where=(where,), what="differs; the first one is not in the engine any more")
            return
        self.archives.mkdir(exist_ok=True)
        first, second = self.archives / f"{name}.first.tar", self.archives / f"{name}.tar"
        try:
            self.engine.save(tag, first)
            self.engine.save(other, second)
            yield from self.differ.images(first, second, where)
        except EngineError as error:
            yield Difference(where=(where,), what=f"differs; the engine cannot save it ({error.what})")
        finally:
            first.unlink(missing_ok=True)


def look_into(difference: Difference) -> list[str]:
    """What `diffoscope` says, where it is installed; else the changed lines of a text."""
    if difference.first is None or difference.second is None:
        return []
    if shutil.which("diffoscope") is None:
        return diff_lines(difference.first, difference.second)
    argv = ["diffoscope", "--no-progress", f"--max-text-report-size={_DIFFOSCOPE_BYTES}", "--text", "-"]
    try:
        done = run([*argv, difference.first, difference.second], check=False, timeout=_DIFFOSCOPE_SECONDS)
    except RoskError as error:
        return [error.what]
    return (done.stdout or done.stderr).splitlines()
