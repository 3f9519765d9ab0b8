"""What people do to a project between two builds, and what must come of it.

An edit puts one thing of the project into one state, whatever it was before. So edits can be drawn in any order, and
two projects in the same state have the same content, however they got there.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.build import Built
from builder.context import dockerfiles
from builder.engine.base import BaseImage
from tests.graph.conftest import FAKE_TREE, SETTINGS, FakeProject

LONG_AGO = 1_577_836_800

CONFIG = {
    "MODULES": "y",
    "BLOCK": "y",
    "NET": "y",
    "INET": "y",
    "EXT4_FS": "m",
    "EXT4_FS_POSIX_ACL": "y",
    "DUMMY": "m",
    "VXLAN": "m",
    "FAKENIC": "m",
    "SND": "m",
    "SND_TIMER": "m",
    "IKCONFIG": "y",
    "CRC32": "y",
    "BLK_DEV_INITRD": "y",
    "XEN": "y",
    "ASN1": "y",
    "UNWINDER_ORC": "y",
}
MAIN_LIST = """\
kernel/fs/ext4/ext4.ko
kernel/drivers/net/fakenic.ko
"""
EXTRA_LIST = """\
kernel/crypto/crc32c_generic.ko
kernel/drivers/net/dummy.ko
kernel/drivers/net/vxlan/vxlan.ko
kernel/kernel/configs.ko
kernel/lib/crc32.ko
kernel/sound/core/snd.ko
kernel/sound/core/snd-timer.ko
"""
# In kernel.Dockerfile: what a build keeps for the next one.
_MOUNT = re.compile(r"--mount=type=cache,id=(rosk-(ccache|obj|pack|signatures)[^,]*),target=")

Outcome = dict[str, str]
"""What a build gave: file or image, and its SHA-256 or digest."""


def new_project(base: BaseImage, root: Path) -> FakeProject:
    """A project of its own, with most of the fake tree switched on."""
    project = FakeProject(root, base)
    project.write("config/rosk.yaml", SETTINGS.format(token=secrets.token_hex(4)))
    project.write("lists/x86/firmware.list", "fakenic/nic-1.bin\n")
    project.write("firmware/fakenic/nic-1.bin", "firmware\n")
    project.write("firmware/WHENCE", "Driver: fakenic\n\nFile: fakenic/nic-1.bin\n\nLicence: Redistributable.\n")
    reset(project)
    return project


def reset(project: FakeProject) -> None:
    """Bring everything that an edit changes back to where it was at first, with the times of then."""
    for name in ("linux", "patches"):
        shutil.rmtree(project.root / name, ignore_errors=True)
    shutil.copytree(FAKE_TREE, project.root / "linux", symlinks=True)
    project.write("config/x86/kernel-config", "".join(f"CONFIG_{name}={value}\n" for name, value in CONFIG.items()))
    project.write("lists/x86/modules.list", MAIN_LIST)
    project.write("lists/x86/modules-extra.list", EXTRA_LIST)


@dataclass(frozen=True)
class Edit:
    """A named change. Attributes: words: What was done, for people; apply: Does it."""

    words: str
    apply: Callable[[FakeProject], None]

    def __str__(self) -> str:
        return self.words


# Config, lists, patches.


def option(name: str, value: str) -> Edit:
    """Set an option in the project's config."""

    def apply(project: FakeProject) -> None:
        line = f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"
        pattern = rf"^(?:# )?CONFIG_{name}(?:=.*| is not set)\n"
        project.edit("config/x86/kernel-config", lambda text: re.sub(pattern, "", text, flags=re.MULTILINE) + line)

    return Edit(f"option {name}={value}", apply)


def listed(module: str, *, extra: bool) -> Edit:
    """Have a module in one of the two lists."""

    def apply(project: FakeProject) -> None:
        for name, wanted in (("modules.list", not extra), ("modules-extra.list", extra)):
            path = f"lists/x86/{name}"
            project.edit(path, lambda text: text.replace(f"{module}\n", ""))
            if wanted:
                project.edit(path, lambda text: text + f"{module}\n")

    return Edit(f"{module} in the {'extras' if extra else 'kernel package'}", apply)


def _patch(file: str, old: str, new: str) -> str:
    """A patch of one line, without context, that applies wherever the line is."""
    text = (FAKE_TREE / file).read_text()
    at = text.splitlines().index(old) + 1
    lines = "".join(f"+{line}\n" for line in new.splitlines())
    return f"--- a/{file}\n+++ b/{file}\n@@ -{at} +{at},{len(new.splitlines())} @@\n-{old}\n{lines}"


def _new_file(file: str, text: str) -> str:
    lines = "".join(f"+{line}\n" for line in text.splitlines())
    return f"--- /dev/null\n+++ b/{file}\n@@ -0,0 +1,{len(text.splitlines())} @@\n{lines}"


_SLOT = "/* Patches put more here. */"
PATCHES: Mapping[str, str] = {
    "limit": _patch("include/linux/limits.h", "#define FAKE_LIMIT 7", "#define FAKE_LIMIT 17"),
    "higher limit": _patch("include/linux/limits.h", "#define FAKE_LIMIT 7", "#define FAKE_LIMIT 27"),
    "first": _patch("lib/string.c", _SLOT, f"int first = __LINE__;\n{_SLOT}"),
    "second": _patch("lib/string.c", _SLOT, f"int second = __LINE__;\n{_SLOT}"),
    "wrapped": _new_file("arch/x86/include/asm/fake.h", "#define FAKE_SHIFT 11\n"),
}


def patches(*names: str) -> Edit:
    """Have these patches, applied in this order, and no others."""

    def apply(project: FakeProject) -> None:
        shutil.rmtree(project.root / "patches", ignore_errors=True)
        for number, name in enumerate(names, 1):
            project.write(f"patches/x86/{number:04}-{name.replace(' ', '-')}.patch", PATCHES[name])

    return Edit(f"patches {', '.join(names)}" if names else "no patches", apply)


# The source tree, edited in place.


def dated(path: Path, when: str, before: float | None) -> None:
    """Give a file that was just written a time: `now`, `2020`, or one `older` than it had."""
    if when != "now":
        at = LONG_AGO if when == "2020" else (before or path.lstat().st_mtime) - 1000
        os.utime(path, (at, at), follow_symlinks=False)


def source(name: str, old: str, new: str, *, when: str = "now", replaced: bool = False) -> Edit:
    """Have a source file with `new` in the place of `old`; with old equal to new, as it was.

    Args:
        when: The time that the file gets; see `dated`.
        replaced: Another file takes its name, instead of being written in place.
    """

    def apply(project: FakeProject) -> None:
        path = project.root / "linux" / name
        before = path.stat().st_mtime if path.exists() else None
        text = (FAKE_TREE / name).read_text()
        assert old in text
        target = path.with_name("new") if replaced else path
        target.write_text(text.replace(old, new))
        if (FAKE_TREE / name).stat().st_mode & 0o100:
            target.chmod(0o755)
        dated(target, when, before)
        target.replace(path)

    said = "as it was" if old == new else f"with {new.strip()!r}"
    how = {"now": "", "2020": ", dated 2020", "older": ", dated before its last time"}[when]
    return Edit(f"{name} {said}{how}{', as another file' if replaced else ''}", apply)


def added(name: str, text: str, *, when: str = "now") -> Edit:
    """Have a file that the source tree does not have."""

    def apply(project: FakeProject) -> None:
        project.write(f"linux/{name}", text)
        dated(project.root / "linux" / name, when, None)

    return Edit(f"{name} added" + ("" if when == "now" else f", dated {when}"), apply)


def gone(name: str) -> Edit:
    """Not have a file, or a folder that holds nothing else."""

    def apply(project: FakeProject) -> None:
        (project.root / "linux" / name).unlink(missing_ok=True)

    return Edit(f"{name} removed", apply)


def link(name: str, target: str) -> Edit:
    """Have a symbolic link lead elsewhere."""

    def apply(project: FakeProject) -> None:
        path = project.root / "linux" / name
        path.unlink()
        path.symlink_to(target)

    return Edit(f"{name} leads to {target}", apply)


def both(*edits: Edit) -> Edit:
    """Several edits as one."""

    def apply(project: FakeProject) -> None:
        for edit in edits:
            edit.apply(project)

    return Edit(" and ".join(map(str, edits)), apply)


def setting(old: str, new: str) -> Edit:
    """Change a line of the settings."""

    def apply(project: FakeProject) -> None:
        project.edit("config/rosk.yaml", lambda text: text.replace(old, new))

    return Edit(f"settings: {new.strip()!r}", apply)


# What a build gives.


def outcome(project: FakeProject, built: Built) -> Outcome:
    """What came of a build that has just ended: see `released`."""
    found = released(project.root / "dist")
    assert found == _told(built.manifest)
    return found


def released(dist: Path) -> Outcome:
    """What is in dist/kernel, by its bytes, and the images' digests, of a release that is whole."""
    manifest = json.loads((dist / "manifest.json").read_text())
    found: Outcome = {f"kernel/{path.name}": _sha256(path) for path in (dist / "kernel").iterdir()}
    found |= manifest["images"]
    assert found == _told(manifest)
    for line in (dist / "SHA256SUMS").read_text().splitlines():
        sum, _, name = line.partition("  ")
        assert _sha256(dist / name) == sum
    assert (dist / "images").read_text().split() == [*manifest["images"]]
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _told(manifest: Mapping[str, Any]) -> Outcome:
    return {**{name: row["sha256"] for name, row in manifest["outputs"].items()}, **manifest["images"]}


def content(project: FakeProject) -> str:
    """A checksum over all that a build may depend on: what there is, and not since when."""
    sums = hashlib.sha256()
    for path in sorted(project.root.rglob("*")):
        name = path.relative_to(project.root)
        if name.parts[0] != "dist" and (path.is_symlink() or path.is_file()):
            text = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            sums.update(f"{name} {path.lstat().st_mode:o} {len(text)}\n".encode() + text)
    return sums.hexdigest()


def from_nothing(project: FakeProject, folder: Path) -> Outcome:
    """What the project comes to with no object tree, compiler cache and packing cache, in a copy that nobody edited.

    Args:
        folder: Where to put the copy; must not exist.
    """
    shutil.copytree(project.root, folder, symlinks=True, ignore=shutil.ignore_patterns("dist"))
    copy = FakeProject(folder, project.base)
    return outcome(copy, copy.build(scope=secrets.token_hex(6)))


def differences(one: Path, other: Path) -> list[str]:
    """Which members of the packages of two `dist` folders differ."""
    found = []
    for path in sorted((one / "kernel").iterdir()):
        counterpart = other / "kernel" / path.name
        if not counterpart.exists() or path.read_bytes() == counterpart.read_bytes():
            found += [] if counterpart.exists() else [f"{path.name} is in one of them only"]
        elif ".t" in path.name:
            ours, theirs = _contents(path), _contents(counterpart)
            names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
            found += [f"{path.name}: {name}" for name in names]
        else:
            found.append(path.name)
    return found


def _contents(package: Path) -> dict[str, tuple[object, ...]]:
    with tarfile.open(package) as tar:
        return {
            member.name: (
                member.mode,
                member.mtime,
                member.linkname,
                file.read() if member.isfile() and (file := tar.extractfile(member)) else b"",
            )
            for member in tar
        }


# Caches that somebody has touched.


def kernel_release(project: FakeProject) -> str:
    """`uname -r` of the kernel that the project builds now."""
    version = re.findall(
        r"^(?:VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)", (project.root / "linux/Makefile").read_text(), re.M
    )
    return f"{'.'.join(version)}-{project.release.partition('-')[2]}"


@functools.cache
def _mounts() -> dict[str, str]:
    text = (dockerfiles() / "kernel.Dockerfile").read_text()
    return {kind: name for name, kind in _MOUNT.findall(text)}


def in_mount(project: FakeProject, kind: str, script: str, *, scope: str) -> str:
    """Run a shell script in a cache mount of builds of a scope (`_MOUNT` has the kinds); returns what it printed."""
    values = {"A": "x86", "RELEASE": kernel_release(project), "CACHE_SCOPE": f"-{scope}"}
    name = re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], _mounts()[kind])
    mount = f"--mount=type=cache,id={name},target=/cache,sharing=locked"
    text = f"FROM {project.base.ref}\nARG ONCE\nCOPY script /script\nRUN {mount} cd /cache && sh -ec '. /script'\n"
    context = project.root / f"mount-{secrets.token_hex(4)}"
    context.mkdir()
    (context / "Dockerfile").write_text(text)
    (context / "script").write_text(script)
    done = subprocess.run(
        ["docker", "build", "--progress=plain", f"--build-arg=ONCE={secrets.token_hex(6)}", context],
        capture_output=True,
        text=True,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    )
    shutil.rmtree(context)
    assert done.returncode == 0, done.stderr
    return done.stderr
