"""The client's progress stream: JSON objects with plain lines between them.

`docker buildx bake --progress rawjson` writes one object per update, over many lines in buildx 0.13 and on one line in
newer ones. When something fails, the client's account of it follows as plain text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any


class Reader:
    """Cuts the stream into JSON objects and plain lines; it can be fed with any pieces of it."""

    def __init__(self) -> None:
        self._rest = b""
        self._object: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any] | str]:
        """Give out what is whole: objects as dictionaries, other lines as text."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._line(line.decode(errors="replace").rstrip("\r"))

    def finish(self) -> Iterator[dict[str, Any] | str]:
        """Give out what is left at the end of the stream, as text."""
        rest, self._rest = self._rest.decode(errors="replace"), b""
        yield from self._line(rest)
        yield from _plain(self._object)
        self._object = []

    def _line(self, line: str) -> Iterator[dict[str, Any] | str]:
        self._object.append(line)
        if line != "}" and (line == "{" or len(self._object) > 1):
            return
        lines, self._object = self._object, []
        try:
            if not lines[0].startswith("{"):
                raise ValueError("no JSON object")
            yield json.loads("\n".join(lines))
        except ValueError:
            yield from _plain(lines)


def _plain(lines: Iterable[str]) -> Iterator[str]:
    return (line for line in lines if line.strip())
