"""What is kept beside a release of how it was built and what proofs found: `build.json`, `verify.json`, `boot.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from builder.errors import InputError, NoSpaceError
from builder.inputs.store import write_atomically
from builder.release import BUILD, MANIFEST, SUMS, describe
from builder.releasefolder import ReleaseFolder, find_release
from builder.report.run import write_report


def keep_result(release: ReleaseFolder, name: str, result: Mapping[str, Any]) -> None:
    """Keep what a proof found beside the release that it is about, and show it in the report.

    Only a release that rosk built keeps it, and one that cannot be written does not: the proof itself is not less.
    Neither does one that has taken the other's place meanwhile.

    Args:
        release: What the proof has looked at.
        name: `verify.json` or `boot.json`.
    """
    root = release.root
    with suppress(OSError, InputError, NoSpaceError):
        if (root / BUILD).is_file() and find_release(root).manifest == release.manifest:
            write_kept(root, name, result)
            write_report(root)


def write_kept(folder: Path, name: str, value: Mapping[str, Any]) -> None:
    """Write a JSON file as a whole; it names manifest and checksums of the release that it is about."""
    belongs = {"manifest": describe(folder / MANIFEST)["sha256"]}
    if (folder / SUMS).is_file():
        belongs["sums"] = describe(folder / SUMS)["sha256"]
    write_atomically(folder / name, (json.dumps({**belongs, **value}, indent=1) + "\n").encode())
