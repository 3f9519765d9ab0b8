"""Books of what is kept from one build to the next: JSON that is read whole and undamaged, or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def store_book(path: Path, value: object) -> None:
    """Write a book as a whole: its first line is the checksum of the rest."""
    text = json.dumps(value).encode()
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    temporary.replace(path)


def load_book(path: Path) -> dict[str, Any] | None:
    """Read a book; None when it is missing or damaged."""
    try:
        digest, _, text = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(text).hexdigest().encode() != digest:
        return None
    value: dict[str, Any] = json.loads(text)
    return value
