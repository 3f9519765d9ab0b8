"""The engine's build cache, record by record: what `docker buildx du` lists and `docker buildx prune` removes.

A record is one layer of one step, or one cache mount. Three forms of `du` are read: the verbose text of buildx 0.13,
that of newer ones, and JSON lines (`--format json`, buildx 0.27 and newer).

What was found out about `prune` (buildx 0.13.1, Docker Engine 26.1.5): `--filter id=` takes a regular expression, so
one call removes many records; without `--all` it leaves every record that an image shares; it removes children before
their parents, leaves a parent that has other children, and leaves what a running build uses, all without a word; an
ID that is not there is no error; an image keeps its layers when their records go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from builder.engine.probe import client_environment
from builder.errors import EngineError
from builder.process import run

CACHE_MOUNT = "exec.cachemount"
"""The type of a record that is a cache mount."""

_AT_ONCE = 200
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2592000, "year": 31536000}
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_FIELD = re.compile(r"([A-Z][A-Za-z ]*):[ \t]*(.*)")
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?(?: ?(?:Z|\+0000))?")
_SIZE = re.compile(r"([0-9.]+(?:e\+\d+)?)([kMGTP]?)B?\*?")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record of the build cache.

    Attributes:
        id: The engine's name for it.
        parents: The IDs of the records that it lies on.
        description: What made it, as BuildKit says.
        type: `regular`, `source.local`, CACHE_MOUNT, …
        size: Bytes, of this record alone; exact to four digits.
        idle: Seconds since its last use, else since it was made, as the engine rounds them down (`2 weeks ago`).
        in_use: A running build uses it.
    """

    id: str
    parents: tuple[str, ...] = ()
    description: str = ""
    type: str = "regular"
    size: int = 0
    idle: float = 0.0
    in_use: bool = False


class BuildCache:
    """The build cache of one builder.

    Args:
        builder: Its name.
        context: The context of the client that it belongs to; the current one when None.
    """

    def __init__(self, builder: str, context: str | None = None) -> None:
        self._builder = builder
        self._context = context

    def records(self) -> list[Record]:
        """All records, whoever made them.

        Raises:
            EngineError: buildx cannot tell.
        """
        done = run(self._argv("du", "--format", "json"), env=client_environment(), check=False, error=EngineError)
        if done.returncode != 0:  # buildx before 0.27 knows no --format
            done = run(self._argv("du", "--verbose"), env=client_environment(), error=EngineError)
        return parse_records(done.stdout, now=datetime.now().timestamp())

    def prune(self, ids: Sequence[str]) -> list[Record]:
        """Remove records; what is in use, or has children that are not named here, stays.

        Returns:
            What was removed.

        Raises:
            EngineError: buildx failed.
        """
        removed: list[Record] = []
        for start in range(0, len(ids), _AT_ONCE):
            pattern = "|".join(re.escape(id) for id in ids[start : start + _AT_ONCE])
            argv = self._argv("prune", "--force", "--all", "--verbose", "--filter", f"id=/^({pattern})$/")
            shown = run(argv, env=client_environment(), error=EngineError).stdout
            removed += parse_records(shown, now=datetime.now().timestamp())
        return removed

    def _argv(self, command: str, *words: str) -> list[str]:
        context = ["--context", self._context] if self._context else []
        return ["docker", *context, "buildx", command, "--builder", self._builder, *words]


def parse_records(text: str, *, now: float) -> list[Record]:
    """The records that `docker buildx du` or `prune` printed, in any of the forms that it has.

    Args:
        now: Seconds since 1970, for times that are no ages.
    """
    if text.lstrip().startswith("{"):
        found: Iterable[dict[str, Any]] = (json.loads(line) for line in text.splitlines() if line.startswith("{"))
    else:
        found = _blocks(text)
    return [_record(fields, now) for fields in found]


def _blocks(text: str) -> Iterator[dict[str, Any]]:
    """The fields of each record of the verbose text, under the names of the JSON form."""
    fields: dict[str, Any] = {}
    key = ""
    for line in text.splitlines():
        field = _FIELD.fullmatch(line)
        if field and field[1] == "ID":
            if fields:
                yield fields
            fields = {"ID": field[2]}
        elif not line.strip():
            key = ""
        elif field and (key != "Description" or field[1] in ("Usage count", "Last used", "Type")):
            key = {"Parent": "Parents"}.get(field[1], field[1])
            fields[key] = [name for name in field[2].split(",") if name] if key == "Parents" else field[2]
        elif key == "Parents":
            fields[key].append(line.strip(" -"))
        elif key == "Description":  # a step of several lines
            fields[key] += f"\n{line}"
    if "ID" in fields:
        yield fields


def _record(fields: dict[str, Any], now: float) -> Record:
    used = fields.get("LastUsedAt") or fields.get("Last used") or ""
    made = fields.get("CreatedAt") or fields.get("Created at") or ""
    return Record(
        id=fields["ID"].strip().rstrip("*"),
        parents=tuple(fields.get("Parents") or ()),
        description=fields.get("Description") or "",
        type=fields.get("Type") or "regular",
        size=parse_size(str(fields.get("Size", "0"))),
        idle=_age(str(used or made), now),
        in_use=str(fields.get("Reclaimable")).lower() != "true",
    )


def parse_size(text: str) -> int:
    """Bytes of a size as docker prints it (`1.814GB`, `4.1kB`, `829889526`); 0 for what is none."""
    size = _SIZE.fullmatch(text.strip())
    return round(float(size[1]) * _UNITS[size[2]]) if size else 0


def _age(text: str, now: float) -> float:
    """Seconds since a time (`2026-11-23 21:56:30.1 +0000 UTC`, `2026-11-23T21:56:30Z`) or of an age (`2 weeks ago`)."""
    if date := _DATE.match(text):
        return max(0.0, now - datetime.fromisoformat(f"{date[1]}T{date[2]}+00:00").timestamp())
    age = re.match(r"(?:About )?(an?|\d+) ([a-z]+?)s? ago", text)
    return float((1 if age[1].startswith("a") else int(age[1])) * _SECONDS.get(age[2], 0)) if age else 0.0
