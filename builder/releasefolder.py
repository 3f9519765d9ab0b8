"""A release folder as it lies there, whoever made it: rosk's `dist`, or what os-kernel's scripts leave.

Nothing is believed here but file names; `builder.verify` looks at the bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.errors import InputError

KINDS = ("kernel", "extras", "headers", "source")
"""What the packages of a release are."""

_KERNEL = re.compile(r"linux-(?P<v>.+)-(?P<a>(?!src\.)[a-z0-9]+)\.(?P<tar>tar\.(?:gz|zst|xz))")


@dataclass(frozen=True, kw_only=True)
class ReleaseFolder:
    """The files of one release.

    Attributes:
        root: The folder that was named (`dist`).
        kernel_folder: The folder with the packages: `dist/kernel`, or `root` itself.
        v: The kernel release, as the kernel package's name has it (`6.12.117-rosk`).
        a: The package architecture (`x86`, `arm64`).
        packages: Kind (one of `KINDS`) to the package's file, for those that are there.
        images: The tags of the file `images`, in its order; empty when there is no such file.
        manifest: The content of `manifest.json`; empty when there is none, as with a release that rosk did not make.
    """

    root: Path
    kernel_folder: Path
    v: str
    a: str
    packages: Mapping[str, Path]
    images: tuple[str, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        """A file beside the packages: `config`, `modules-main.list`, `modules-extra.list`; it need not exist."""
        return self.kernel_folder / name


def find_release(root: Path) -> ReleaseFolder:
    """The one release in a folder: the folder itself holds the packages, or its subfolder `kernel` does.

    Raises:
        InputError: There is none, or more than one, or its manifest cannot be read.
    """
    folder = root / "kernel" if (root / "kernel").is_dir() else root
    found = [match for path in sorted(folder.glob("linux-*.tar.*")) if (match := _KERNEL.fullmatch(path.name))]
    if not found:
        raise InputError(
            "there is no kernel package (linux-V-A.tar.gz)",
            where=folder,
            hint="name a folder that `rosk build` wrote, or run it first",
        )
    if len(found) > 1:
        listed = ", ".join(match[0] for match in found)
        raise InputError(
            f"there is more than one kernel package: {listed}", where=folder, hint="leave one release in the folder"
        )
    v, a, tar = found[0]["v"], found[0]["a"], found[0]["tar"]
    source = "tgz" if tar == "tar.gz" else tar
    names = {
        "kernel": f"linux-{v}-{a}.{tar}",
        "extras": f"extra-linux-{v}-{a}.{tar}",
        "headers": f"build-linux-{v}-{a}.{tar}",
        "source": f"linux-{v}-{a}-src.{source}",
    }
    return ReleaseFolder(
        root=root,
        kernel_folder=folder,
        v=v,
        a=a,
        packages={kind: folder / name for kind, name in names.items() if (folder / name).is_file()},
        images=_images(root / "images"),
        manifest=_manifest(root / "manifest.json"),
    )


def _images(path: Path) -> tuple[str, ...]:
    try:
        return tuple(_text(path).split())
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"it cannot be read: {error}", where=path, hint="build the release again") from error


def _manifest(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"it is no manifest: {error}", where=path, hint="build the release again") from error
    if not isinstance(found, dict):
        raise InputError("it is no manifest: not a JSON object", where=path, hint="build the release again")
    return found


def _text(path: Path) -> str:
    """A file's text; a pipe of that name, which nobody may ever write to, is none."""
    if path.is_fifo():
        raise OSError("is a pipe")
    return path.read_text()
