"""Compresses the chunks of an archive, several at once, or takes what came of the same bytes before from a cache."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from builder.stages.chunkcache import ChunkCache
from builder.stages.compressor import Compressor
from builder.stages.members import Chunk, Piece

MAX_WORKERS = 8

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Squeezed:
    """A chunk that was compressed.

    Attributes:
        key: Where it is in the cache; empty without one.
        size: Its bytes; `sha256`, their checksum, hexadecimal.
        reused: It was in the cache.
    """

    key: str
    size: int
    sha256: str
    reused: bool

    def as_json(self) -> dict[str, Any]:
        return {"key": self.key, "size": self.size, "sha256": self.sha256}


class Squeeze:
    """Compresses a chunk, or takes from the cache what came of the same bytes before."""

    def __init__(self, compressor: Compressor, cache: ChunkCache) -> None:
        self.compressor = compressor
        self.cache = cache

    def __call__(self, chunk: Chunk) -> tuple[bytes, Squeezed]:
        if self.cache.folder is None:
            return described(self.compressor.compress(plain_bytes(chunk)))
        known = all(part.digest for part in chunk if isinstance(part, Piece))
        plain = None if known else plain_bytes(chunk)
        key = self._key(chunk, plain)
        found = self.cache.get(key)
        if found is not None:
            return described(found, key, reused=True)
        data = self.compressor.compress(plain_bytes(chunk) if plain is None else plain)
        self.cache.put(key, data)
        return described(data, key)

    def _key(self, chunk: Chunk, plain: bytes | None) -> str:
        """The key of a chunk: a checksum over its bytes, or over what stands for them where they were not read."""
        digest = hashlib.sha256(self.compressor.identity)
        if plain is not None:
            digest.update(plain)
        else:
            digest.update(b"by content\0")
            for part in chunk:
                digest.update(part.name if isinstance(part, Piece) else part)
        return digest.hexdigest()


def described(data: bytes, key: str = "", *, reused: bool = False) -> tuple[bytes, Squeezed]:
    return data, Squeezed(key, len(data), hashlib.sha256(data).hexdigest(), reused)


def plain_bytes(chunk: Chunk) -> bytes:
    """The bytes of a chunk."""
    return b"".join(part.read() if isinstance(part, Piece) else part for part in chunk)


def workers() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
    """What a function makes of each item, in their order, for several at once; few are held at any time."""
    count = min(MAX_WORKERS, workers())
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(count) as pool:
        try:
            for item in items:
                if len(waiting) >= 2 * count:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(function, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
