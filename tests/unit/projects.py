"""A small project on disk for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builder import release
from builder.graph import Resolved
from builder.project import Project

SETTINGS = """\
org: acme
kernel:
  source: kernel.org
  version: "6.12.64"
toolchain:
  suite: trixie
firmware:
  source: none
registries:
  - localhost:5001
  - host: localhost:5002
    prefix: mirror
"""

FILES = {
    "config/rosk.yaml": SETTINGS,
    "config/x86/kernel-config": "CONFIG_64BIT=y\nCONFIG_MODULES=y\n",
    "lists/x86/modules.list": "# boot\nkernel/fs/overlayfs/overlay.ko\n",
    "lists/x86/modules-extra.list": "kernel/fs/xfs/xfs.ko\n",
    "patches/x86/0002-b.patch": "--- a/b\n+++ b/b\n@@ -1 +1 @@\n-x\n+y\n",
    "patches/x86/0001-a.patch": "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\n+y\n",
}


def write_project(root: Path, **changed: str) -> Path:
    """Write the small project into `root`; `changed` replaces or adds files (path with `__` for `/`)."""
    for name, text in {**FILES, **changed}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def commit_release(
    project: Project,
    resolved: Resolved,
    folder: Path,
    *,
    sums: Mapping[str, release.Sum] | None = None,
    images: Mapping[str, str] | None = None,
    command: Sequence[str] = ("rosk", "build"),
) -> dict[str, Any]:
    """Make a staged `kernel/` the release of a project, as a build does, without looking at what it is."""
    manifest = release.describe_release(
        project, resolved, folder, sums=sums or {}, images=images or {}, command=command
    )
    for name in (release.BUILD, release.VERIFY, release.REPORT):
        (folder / name).write_text("{}")
    release.commit(project.dist, folder)
    return manifest
