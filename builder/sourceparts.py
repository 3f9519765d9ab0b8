"""The source package put together of the one before and the chunks that are new.

It is a quarter of a gigabyte, and a patch changes one of its hundreds of chunks (`builder.stages.pack`). What they are
is in `build.json` of the release. Whether the whole is right its checksum tells, as with every package.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from builder.release import BUILD, take_over

PARTS = "source_parts"
"""The name of the list in `build.json`: size and SHA-256 (hex) of each chunk, in order."""
REPORT = "source-parts.json"
"""The same of a new build, among its reports."""
_NEW_PARTS, _CHUNKS = "parts.json", "chunks"
"""What comes of a package that is known: what it is made of, and what is new of that."""
_PIECE = 8 << 20


@dataclass(frozen=True, kw_only=True)
class KnownSource:
    """The source package of the release before.

    Attributes:
        name: Its name.
        package: The file.
        parts: Size and SHA-256 of each of its chunks.
    """

    name: str
    package: Path
    parts: Sequence[tuple[int, str]]

    def tell(self, folder: Path) -> Path:
        """Write the folder that tells a build which chunks are known (`known` of the Dockerfile), and return it."""
        folder.mkdir(exist_ok=True)
        (folder / "source.json").write_text(json.dumps(sorted({sha256 for _, sha256 in self.parts})))
        return folder

    def places(self) -> dict[str, int]:
        """Where each chunk begins, by its checksum."""
        found, at = {}, 0
        for size, sha256 in self.parts:
            found[sha256] = at
            at += size
        return found


def known_source(dist: Path, name: str, keep: Path) -> KnownSource | None:
    """The source package of this name in a release folder, where one knows what it is made of.

    Args:
        keep: Where the file lies from now on too, whatever another build does to the release.
    """
    try:
        parts = [(int(size), str(sha256)) for size, sha256 in json.loads((dist / BUILD).read_text())[PARTS]]
        keep.unlink(missing_ok=True)
        take_over(dist / "kernel" / name, keep)
        if keep.is_symlink() or keep.stat().st_size != sum(size for size, _ in parts):
            return None
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return KnownSource(name=name, package=keep, parts=parts)


def read_parts(file: Path) -> list[tuple[int, str]]:
    """What the source package of a new build is made of, as `pack --parts` has written it.

    Raises:
        OSError: There is no such file.
    """
    return [(part["size"], part["sha256"]) for part in json.loads(file.read_text())]


def put_together(known: KnownSource, new: Path, out: Path) -> None:
    """Write the new package.

    Args:
        new: The folder that came of it (`builder.stages.newchunks`).

    Raises:
        OSError, EOFError: It cannot be: nothing is left of it.
    """
    places = known.places()
    come: dict[str, int] = {}
    end = 0
    try:
        parts = read_parts(new / _NEW_PARTS)
        with known.package.open("rb") as old, (new / _CHUNKS).open("rb") as added, out.open("wb") as file:
            for size, sha256 in parts:
                if sha256 in places:
                    _copy(old, places[sha256], size, file)
                    continue
                if sha256 not in come:
                    come[sha256] = end
                    end += size
                _copy(added, come[sha256], size, file)
    except (OSError, EOFError):
        out.unlink(missing_ok=True)
        raise


def _copy(source: IO[bytes], at: int, size: int, target: IO[bytes]) -> None:
    source.seek(at)
    while size:
        data = source.read(min(size, _PIECE))
        if not data:
            raise EOFError("a package is shorter than it was")
        target.write(data)
        size -= len(data)
