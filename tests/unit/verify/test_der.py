"""DER values one after the other."""

from __future__ import annotations

from typing import Any

import pytest

from builder.verify.der import INTEGER, Value, read_value, values


class Counted(bytes):
    """Bytes that count how many of them are copied."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if not isinstance(found, bytes):
            return found
        Counted.copied += len(found)
        return Counted(found)


def test_values_follow_one_another() -> None:
    long = bytes([INTEGER, 0x81, 200]) + bytes(200)
    found = list(values(b"\5\0" + long + b"\2\1\7"))
    assert found == [Value(5, b"", b"\5\0"), Value(INTEGER, bytes(200), long), Value(INTEGER, b"\7", b"\2\1\7")]
    assert read_value(long + b"more").whole == long


@pytest.mark.parametrize("data", [b"", b"\5", b"\2\2\1", b"\2\x80", b"\2\x85\1\1\1\1\1", b"\2\x82\1", b"\2\x81\4\1"])
@pytest.mark.parametrize("before", [b"", b"\5\0"])
def test_what_is_none(data: bytes, before: bytes) -> None:
    with pytest.raises(ValueError, match="DER"):
        read_value(before + data, len(before))


def test_many_values_are_each_copied_once() -> None:
    data = Counted(b"\5\0" * 1000)
    assert len(list(values(data))) == 1000
    assert Counted.copied <= 2 * len(data)
