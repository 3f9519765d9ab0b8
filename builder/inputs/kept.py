"""Small files of a server that change: the newest, or else the one that was fetched last, with its age."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from builder.errors import FetchError
from builder.inputs.fetch import MirrorError, Patience, default_cache, read
from builder.inputs.store import cache_errors, write_atomically

PATIENCE = Patience(attempts=2, connect_timeout=5.0, read_timeout=15.0)
"""An old file is at hand at once: no long wait for a new one."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Kept(Generic[T]):
    """What such a file says, and since when that is known.

    Attributes:
        fetched: Seconds since 1970.
        stale: It is the cache's, because the server was not asked or did not answer.
        why: Why it did not; empty when it was not asked.
    """

    value: T
    url: str
    fetched: float
    stale: bool = False
    why: str = ""


def fetch_or_keep(
    url: str,
    name: str,
    parse: Callable[[bytes], T],
    *,
    limit: int,
    what: str,
    hint: str,
    offline: bool = False,
    patience: Patience = PATIENCE,
    clock: Callable[[], float] = time.time,
) -> Kept[T]:
    """A new one, else the one in the cache.

    Args:
        name: Where the cache keeps it.
        parse: Reads it; raises `MirrorError` when it is not what it should be.
        limit: Bytes that it may have.
        what, hint: What it is, and what to do without it, for an error.
        offline: Do not ask for a new one.

    Raises:
        FetchError: There is neither.
    """
    kept = default_cache() / name
    why, lack = "", "the cache has none yet"
    with cache_errors(default_cache()):
        if not offline:
            try:
                data = read(url, patience=patience, limit=limit)
                value = parse(data)
            except MirrorError as failure:
                why = str(failure)
            else:
                now = clock()
                entry = {"url": url, "fetched": now, "text": data.decode(errors="replace")}
                write_atomically(kept, json.dumps(entry).encode())
                return Kept(value=value, url=url, fetched=now)
        try:
            entry = json.loads(kept.read_text())
            if entry["url"] == url:
                value = parse(entry["text"].encode())
                return Kept(value=value, url=url, fetched=float(entry["fetched"]), stale=True, why=why)
        except FileNotFoundError:
            pass
        except (ValueError, LookupError, TypeError, AttributeError, MirrorError):
            lack = f"the cache's is damaged ({kept})"
    raise FetchError(f"{what} cannot be had, and {lack}", where=url, hint=hint, details=[why] if why else [])


def age(seconds: float) -> str:
    """A span of time in its largest unit: `3 days`, `1 hour`."""
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return "a moment"
