"""Reads kmod's binary indexes (`modules.dep.bin`, `modules.alias.bin` and so on), which are what modprobe believes.

Versions of kmod lay out the same index in different bytes, so it is read here rather than compared. Source of the
format: the comments in kmod's libkmod/libkmod-index.c. Numbers are 32 bits, most significant byte first. A node has,
as the flags in the upper bits of its offset say: a prefix ended by NUL; the first and the last character of its
children, and their offsets; the number of its values, and for each a priority and a text ended by NUL.
"""

from __future__ import annotations

import struct

from builder.stages.common import StageError

_HEAD = struct.Struct(">III")  # magic, version, the root's offset
_NUMBER = struct.Struct(">I")
_MAGIC, _MAJOR_VERSION = 0xB007F457, 2
_MOST_TEXT = 64
"""Bytes of keys and values together that no index has for each byte of its own: keys share what they begin with."""
_LONGEST_KEY = 4096
_PREFIX, _VALUES, _CHILDREN, _OFFSET = 0x80000000, 0x40000000, 0x20000000, 0x0FFFFFFF


def read_index(data: bytes, name: str) -> dict[str, tuple[str, ...]]:
    """What an index holds: each key with its values, those that modprobe tries first before the others.

    Args:
        data: The file's content.
        name: The file's name, for errors.

    Raises:
        StageError: It is no such index, or a damaged one.
    """
    try:
        return _read(data)
    except (struct.error, ValueError):
        raise StageError(f"{name} is not an index of kmod, or a damaged one", hint="run depmod again") from None


def _read(data: bytes) -> dict[str, tuple[str, ...]]:
    magic, version, root = _HEAD.unpack_from(data)
    if magic != _MAGIC or version >> 16 != _MAJOR_VERSION:
        raise ValueError
    found: dict[str, tuple[str, ...]] = {}
    seen: set[int] = set()
    todo = [(root, b"")]
    left = _MOST_TEXT * len(data)
    while todo:
        place, key = todo.pop()
        at = place & _OFFSET
        if at in seen:  # a loop, which no trie has
            raise ValueError
        seen.add(at)
        if place & _PREFIX:
            end = data.index(b"\0", at)
            key, at = key + data[at:end], end + 1
        if len(key) > _LONGEST_KEY:
            raise ValueError
        if place & _CHILDREN:
            first, last = struct.unpack_from("BB", data, at)
            at += 2
            for character in range(first, last + 1):
                (child,) = _NUMBER.unpack_from(data, at)
                at += _NUMBER.size
                if child & _OFFSET:
                    todo.append((child, key + bytes([character])))
        if place & _VALUES:
            values = found[key.decode(errors="replace")] = _values(data, at)
            left -= len(key) + sum(map(len, values)) + len(values)
            if left < 0:  # nodes that lie over one another
                raise ValueError
    return found


def _values(data: bytes, at: int) -> tuple[str, ...]:
    (count,) = _NUMBER.unpack_from(data, at)
    at += _NUMBER.size
    values = []
    for _ in range(count):
        (priority,) = _NUMBER.unpack_from(data, at)
        end = data.index(b"\0", at + _NUMBER.size)
        values.append((priority, data[at + _NUMBER.size : end].decode(errors="replace")))
        at = end + 1
    return tuple(text for _, text in sorted(values))
