"""Reads DER, the encoding of certificates, keys and signatures, as far as tags and lengths (X.690, 8.1 and 10.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

INTEGER, OCTETS, OID, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x30, 0x31
_LONG = 0x80
_MOST_LENGTH_BYTES = 4


class Value(NamedTuple):
    """One value: its tag, its content, and the whole of it as it was encoded."""

    tag: int
    content: bytes
    whole: bytes


def read_value(data: bytes, at: int = 0) -> Value:
    """The value at a place in some bytes; what follows it is left.

    Raises:
        ValueError: There is none, or it is longer than the bytes.
    """
    if len(data) < at + 2:
        raise ValueError("no DER value")
    length, start = data[at + 1], at + 2
    if length & _LONG:
        count = length & ~_LONG
        start += count
        if not 0 < count <= _MOST_LENGTH_BYTES or len(data) < start:
            raise ValueError("a DER length that is none")
        length = int.from_bytes(data[at + 2 : start], "big")
    if start + length > len(data):
        raise ValueError("a DER value that is cut short")
    return Value(data[at], data[start : start + length], data[at : start + length])


def values(data: bytes) -> Iterator[Value]:
    """The values that some bytes consist of, one after the other: of a SEQUENCE's content, for example.

    Raises:
        ValueError: They consist of something else.
    """
    at = 0
    while at < len(data):
        value = read_value(data, at)
        yield value
        at += len(value.whole)
