"""`rosk cache`: what rosk keeps for the next build, what losing it would cost, and how to get rid of it.

Only what rosk made is counted and removed: what `builder.cacheowner` finds in the engine's build cache, and the folder
of downloads (`builder.hostcache`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from builder.cacheowner import instructions, owned_records
from builder.context import dockerfiles
from builder.engine.cacherecords import CACHE_MOUNT, Record
from builder.errors import InputError
from builder.hostcache import Kept, kept_files
from builder.inputs.kept import age

_WEEK = 7 * 86400.0

_MOUNTS: tuple[tuple[str, str, str], ...] = (
    ("apt-archives", "Debian packages", "a new toolchain downloads its packages again"),
    ("apt-lists", "Debian package lists", "a new toolchain downloads the lists again"),
    ("log", "compile logs", "the whole log of a compile that failed before is gone"),
    ("ccache", "compiler cache", "a build whose object tree is gone too compiles every file"),
    ("signatures", "signatures of modules", "the next build signs every module again"),
    ("pack", "packed chunks", "the next packages are compressed from the beginning, which takes minutes"),
)
"""What follows `rosk-` in the name of a cache mount (a scope may follow), what it is, and what losing it costs."""

_RECORD = re.compile(r"\b[a-z0-9]{25}\b")
"""The ID of a record in a message of BuildKit's."""

_LAYERS: Mapping[str, tuple[str, str]] = {
    "toolchain": ("toolchain layers", "the next build installs the newest compiler and tools, and its bits may change"),
    "source": ("kernel source layers", "the next build gets the source again, Debian's newest if it is Debian's"),
    "compile": ("compiled stages", "the next build compiles again, with its object tree or the compiler cache"),
    "packages": ("packages and images", "the next build splits, packs and makes images again, which takes minutes"),
    "context": ("sources sent to the engine", "the next build sends the source's archive or tree again"),
}


class CacheStore(Protocol):
    """What is asked of the engine here; `builder.engine.cacherecords.BuildCache` can do it."""

    def records(self) -> list[Record]:
        """All records of the build cache."""
        ...

    def prune(self, ids: Sequence[str]) -> list[Record]:
        """Remove records, and return those that are gone."""
        ...


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The smallest thing that can be removed: one record of the engine, or one entry of the folder of downloads.

    Attributes:
        what: What the user knows it as; pieces of one kind share it.
        cost: What losing it means.
        size: Bytes.
        idle: Seconds since it, or anything that lies on it, was used.
        depth: How many layers it lies on.
        record: The record, for a piece of the engine; `file`: the entry, for one of this machine.
        stays: Why it cannot be removed now; empty when it can.
    """

    what: str
    cost: str
    size: int
    idle: float
    depth: int = 0
    record: Record | None = None
    file: Kept | None = None
    stays: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Pieces of one kind together; `idle` is that of the one that was used last."""

    what: str
    cost: str
    size: int
    idle: float
    in_use: bool


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What a prune removed, or would remove.

    Attributes:
        rows: What went, by kind.
        freed: Bytes.
        left: Bytes that rosk keeps after it.
        stayed: Why more did not go, a line each.
    """

    rows: tuple[Row, ...]
    freed: int
    left: int
    stayed: tuple[str, ...] = ()


def find_pieces(records: Sequence[Record], files: Iterable[Kept] = ()) -> list[Piece]:
    """Everything that rosk keeps.

    Args:
        records: The engine's whole build cache.
        files: What the folder of downloads holds (`builder.hostcache.kept_files`).
    """
    texts = [file.read_text() for file in sorted(dockerfiles().glob("*.Dockerfile"))]
    owned = owned_records(records, instructions("\n".join(texts)))
    below = _Chain(records)
    pieces = [_piece(record, owned[record.id], below, owned) for record in records if record.id in owned]
    return pieces + [
        Piece(what=kept.what, cost=kept.cost, size=kept.size, idle=kept.idle, file=kept, stays=kept.stays)
        for kept in files
    ]


def _piece(record: Record, group: str, below: _Chain, owned: Mapping[str, str]) -> Piece:
    what, cost = _mount_words(group) if record.type == CACHE_MOUNT else _LAYERS[group]
    others = below.descendants(record.id)
    stays = "in use by a build" if any(each.in_use for each in (record, *others)) else ""
    if not stays and any(each.id not in owned for each in others):
        stays = "another's build lies on it"
    idle = min(each.idle for each in (record, *others))
    depth = below.depth(record.id)
    return Piece(what=what, cost=cost, size=record.size, idle=idle, depth=depth, record=record, stays=stays)


class _Chain:
    """Which records lie on which."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = {record.id: record for record in records}
        self._children: dict[str, list[str]] = {}
        for record in records:
            for parent in record.parents:
                self._children.setdefault(parent, []).append(record.id)

    def descendants(self, id: str) -> list[Record]:
        """All records that lie on it, directly or not."""
        found: dict[str, Record] = {}
        todo = list(self._children.get(id, ()))
        while todo:
            if (child := todo.pop()) not in found:
                found[child] = self._records[child]
                todo += self._children.get(child, ())
        return list(found.values())

    def depth(self, id: str) -> int:
        """How many records it lies on."""
        seen: set[str] = set()
        todo = [id]
        while todo:
            record = self._records.get(todo.pop())
            if record and record.id not in seen:
                seen.add(record.id)
                todo += record.parents
        return len(seen) - 1


def _mount_words(name: str) -> tuple[str, str]:
    """What the cache mount `rosk-NAME` is, and what losing it costs."""
    if tree := re.fullmatch(r"obj-([a-z0-9]+)-(.+)", name):
        cost = f"the next build of {tree[2]} compiles all again, with what the compiler cache has"
        return f"object tree of {tree[2]} ({tree[1]})", cost
    for known, what, cost in _MOUNTS:
        if name == known:
            return what, cost
        if known in ("ccache", "pack", "signatures") and name.startswith(f"{known}-"):
            return f"{what} of scope {name.removeprefix(f'{known}-')}", cost
    return f"cache mount rosk-{name}", "a version of rosk that knows it makes it again"


def rows(pieces: Sequence[Piece]) -> list[Row]:
    """Pieces by kind, the largest kind first."""
    kinds: dict[str, list[Piece]] = {}
    for piece in pieces:
        kinds.setdefault(piece.what, []).append(piece)
    made = (
        Row(
            what=what,
            cost=group[0].cost,
            size=sum(piece.size for piece in group),
            idle=min(piece.idle for piece in group),
            in_use=any(piece.stays.startswith("in use") for piece in group),
        )
        for what, group in kinds.items()
    )
    return sorted(made, key=lambda row: (-row.size, row.what))


def choose(pieces: Sequence[Piece], *, older_than: float | None, keep: int | None, all: bool = False) -> list[Piece]:
    """What a prune removes: all that is too old, then the oldest until the rest is small enough.

    Args:
        older_than: Seconds; None: age is no reason.
        keep: Bytes; None: size is no reason. What cannot be removed counts too.
        all: Everything that can be removed.
    """
    # A layer goes after those that lie on it: these were never used longer ago, and lie deeper.
    candidates = sorted((piece for piece in pieces if not piece.stays), key=lambda piece: (-piece.idle, -piece.depth))
    left = sum(piece.size for piece in pieces)
    chosen: list[Piece] = []
    for piece in candidates:
        old = older_than is not None and piece.idle >= older_than
        if all or old or (keep is not None and left > keep):
            chosen.append(piece)
            left -= piece.size
    return chosen


def prune(store: CacheStore, pieces: Sequence[Piece], chosen: Sequence[Piece], *, dry_run: bool = False) -> Pruned:
    """Remove pieces.

    Args:
        pieces: All that rosk keeps.
        chosen: What `choose` returned.
        dry_run: Only tell.

    Raises:
        EngineError: The engine refused.
    """
    gone = list(chosen)
    if not dry_run:
        ids = [piece.record.id for piece in chosen if piece.record]
        removed = {record.id for record in store.prune(ids)} if ids else set()
        gone = [piece for piece in chosen if piece.record and piece.record.id in removed]
        gone += [piece for piece in chosen if piece.file and piece.file.remove()]
    missed = set(map(id, chosen)) - set(map(id, gone))
    reasons = [
        f"{piece.what}: some stays, {piece.stays or 'it came into use'}"
        for piece in pieces
        if piece.stays or id(piece) in missed
    ]
    freed = sum(piece.size for piece in gone)
    left = sum(piece.size for piece in pieces) - freed
    return Pruned(rows=tuple(rows(gone)), freed=freed, left=left, stayed=tuple(dict.fromkeys(reasons)))


def forget_named(store: CacheStore, message: str) -> list[Record]:
    """Remove the results of rosk's steps that a message of BuildKit names, with all that lies on them.

    Returns:
        Those that are gone; none where one of them has to stay.

    Raises:
        EngineError: The engine refused.
    """
    records = store.records()
    below = _Chain(records)
    mine = {piece.record.id for piece in find_pieces(records) if piece.record and not piece.stays}
    named = mine.intersection(_RECORD.findall(message))
    lost = [record for record in records if record.id in named]
    above = [each for record in lost for each in below.descendants(record.id)]
    found = {each.id for each in (*lost, *above) if each.type != CACHE_MOUNT}
    # Many are removed in several calls: each of them after those that lie on it.
    ids = sorted(found, key=lambda id: (-below.depth(id), id))
    return store.prune(ids) if ids else []


def show(store: CacheStore, cache: Path) -> list[Row]:
    """What rosk keeps in the engine and in the folder of downloads `cache`, by kind.

    Raises:
        EngineError: The engine cannot tell.
    """
    return rows(find_pieces(store.records(), kept_files(cache)))


def run_prune(
    store: CacheStore,
    cache: Path,
    *,
    older_than: str | None,
    keep: str | None,
    all: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """`rosk cache prune`: by age (`14d`; what is done when nothing is asked for), by size (`20GB`), or all.

    Raises:
        InputError: The age or the size is none.
        EngineError: The engine refused.
    """
    age = parse_age(older_than) if older_than else None if keep else 2 * _WEEK
    pieces = find_pieces(store.records(), kept_files(cache))
    chosen = choose(pieces, older_than=age, keep=parse_bytes(keep) if keep else None, all=all)
    return prune(store, pieces, chosen, dry_run=dry_run)


def parse_age(text: str) -> float:
    """Seconds of an age such as `14d`, `36h`, `2w` or `90m`.

    Raises:
        InputError: It is none.
    """
    found = re.fullmatch(r"(\d+)([mhdw])", text)
    if not found:
        raise InputError(f"{text!r} is not an age", hint="write a number and m, h, d or w, such as 14d")
    return float(found[1]) * {"m": 60, "h": 3600, "d": 86400, "w": _WEEK}[found[2]]


def parse_bytes(text: str) -> int:
    """Bytes of a size such as `20GB`, `500MB` or `1.5T`.

    Raises:
        InputError: It is none.
    """
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,18})?) ?([kKMGT]?)B?", text)
    if not found:
        raise InputError(f"{text!r} is not a size", hint="write a number and MB, GB or TB, such as 20GB")
    return round(float(found[1]) * {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}[found[2].upper()])


def ago(seconds: float) -> str:
    """An age in words (`3 days ago`)."""
    return f"{age(seconds)} ago" if seconds >= 60 else "just now"
