"""An artifact's files as the folder of a release: names that stay inside, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builder.errors import InputError
from builder.publish.artifact import MOST_FILES, RELEASE_TYPE, SAFE_NAME, SUMS, TITLE, is_beside, read_sums
from builder.publish.content import Blob, Descriptor, read_descriptor
from builder.release import BOOT, BUILD, REPORT, VERIFY

LARGEST_RELEASE = 32 << 30
"""Bytes that no release has."""
_FOUND_OUT = (VERIFY, BOOT, BUILD, REPORT)
"""What a machine has found out about a release: that counts for that machine, and is taken from nobody."""


def layers(document: Mapping[str, Any]) -> dict[str, Descriptor]:
    """The files of a release's artifact by their names.

    Raises:
        ValueError: It is no such artifact, or a name in it could lead elsewhere.
    """
    if document.get("artifactType") != RELEASE_TYPE:
        raise ValueError(f"it is no release of rosk: its type is {str(document.get('artifactType'))[:80]!r}")
    listed = document.get("layers")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_FILES:
        raise ValueError("it has no files, or too many")
    found: dict[str, Descriptor] = {}
    for descriptor in map(read_descriptor, listed):
        name = descriptor.annotations.get(TITLE, "")
        if not SAFE_NAME.fullmatch(name):
            raise ValueError(f"it has a file of the name {name[:80]!r}")
        if name in found:
            raise ValueError(f"it has {name} twice")
        found[name] = descriptor
    if "kernel" in found:
        raise ValueError("it has a file of the name 'kernel'")
    if sum(descriptor.size for descriptor in found.values()) > LARGEST_RELEASE:
        raise ValueError("it is larger than any release")
    return found


def write_release(root: Path, files: Mapping[str, Blob]) -> None:
    """Write the files of a release into a new folder; they have been checked by their digests.

    Raises:
        InputError: They are not those that their SHA256SUMS names.
    """
    (root / "kernel").mkdir(parents=True)
    for name, blob in files.items():
        target = root / name
        if blob.file is not None and blob.offset == 0 and blob.file.stat().st_size == blob.size:
            # A hard link would let whoever edits the one change the other, which is kept by its checksum.
            shutil.copyfile(blob.file, target)
        else:
            target.write_bytes(blob.read())
    check_sums(root, {name: blob.digest.removeprefix("sha256:") for name, blob in files.items()})


def check_sums(root: Path, files: Mapping[str, str]) -> None:
    """See that SHA256SUMS says of a release's files what they are, and that nothing else comes with them.

    Args:
        files: Name to SHA-256 of what is there.

    Raises:
        InputError: It does not.
    """
    listed = read_sums(root / SUMS)
    wrong = [
        f"{name} is not the file that {SUMS} names" for name, sha256 in listed.items() if files.get(name) != sha256
    ]
    wrong += [f"{name} is not in {SUMS}" for name in files if name not in listed and not is_beside(name)]
    wrong += [f"{name} is no file of a release: it is made where that is" for name in listed if name in _FOUND_OUT]
    if wrong:
        raise InputError(
            f"the release is not what its {SUMS} says", where=root / SUMS, details=wrong, hint="get it from elsewhere"
        )
