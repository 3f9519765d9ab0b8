"""Small releases made by hand, for the checks that need no built kernel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builder.verify.model import Finding
from builder.verify.run import examine
from tests.doctor import Archive, write

V = "6.12.99-acme"
Files = Mapping[str, bytes | str]
"""Name in the archive to the file's content, or to the target of a symbolic link (text)."""


def package(path: Path, files: Files) -> Path:
    """A package (gzip) with these members, and the folders on their way."""
    archive = Archive()
    for name, content in files.items():
        if isinstance(content, str):
            archive.link(name, content)
        else:
            archive.add(name, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, archive)
    return path


def release(root: Path, *, v: str = V, a: str = "x86", kernel: Files, **others: Files) -> Path:
    """A release folder with a kernel package, and others by their kind (`extras`, `headers`)."""
    package(root / f"kernel/linux-{v}-{a}.tar.gz", kernel)
    for kind, files in others.items():
        prefix = {"extras": "extra-", "headers": "build-"}[kind]
        package(root / f"kernel/{prefix}linux-{v}-{a}.tar.gz", files)
    return root


def found(root: Path, name: str) -> Finding:
    """What one check finds."""
    (result,) = examine(root, cheap=False, only=[name]).results
    return result.finding
