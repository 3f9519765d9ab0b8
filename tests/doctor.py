"""Releases with one thing wrong, for the tests of `rosk verify`: copies of a good one, doctored.

A doctored release is right in all else: whoever changes a package gets its checksum, and the manifest's entry, put
right as well, so that no check but the one under test has a reason to fail.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.current import own_code
from builder.releasefolder import find_release
from builder.verify.proved import read_proved
from builder.verify.run import examine

KINDS = ("kernel", "extras", "headers", "source")


@dataclass
class Entry:
    """A member of an archive: what tar says of it, and its content."""

    info: tarfile.TarInfo
    data: bytes = b""

    @property
    def name(self) -> str:
        """The literal name in the archive (`./boot/config-6.12.99-acme`)."""
        return self.info.name


@dataclass
class Archive:
    """The members of a package in their order, to be changed at will: doubled, renamed, taken away."""

    entries: list[Entry] = field(default_factory=list)

    def names(self) -> list[str]:
        return [entry.name for entry in self.entries]

    def find(self, end: str) -> Entry:
        """The one member whose name ends so (`/kernel/fs/ext4/ext4.ko`, `./Makefile`)."""
        (found,) = (entry for entry in self.entries if entry.name.endswith(end))
        return found

    def read(self, end: str) -> bytes:
        return self.find(end).data

    def edit(self, end: str, change: Callable[[bytes], bytes]) -> None:
        """Change the content of a file; a change that changes nothing is a mistake of the test."""
        entry = self.find(end)
        changed = change(entry.data)
        assert changed != entry.data, f"{entry.name} is as it was"
        entry.data = changed

    def replace(self, end: str, old: bytes, new: bytes) -> None:
        """Put `new` wherever a file has `old`."""
        self.edit(end, lambda data: data.replace(old, new))

    def add(self, name: str, data: bytes = b"", *, mode: int = 0o644) -> Entry:
        """A further file, with the folders on its way that are not there yet; `name` is literal."""
        self._folders(name)
        info = tarfile.TarInfo(name)
        info.mode = mode
        return self._append(Entry(info, data))

    def link(self, name: str, target: str, *, hard: bool = False) -> Entry:
        """A further link (symbolic, or hard)."""
        self._folders(name)
        info = tarfile.TarInfo(name)
        info.type = tarfile.LNKTYPE if hard else tarfile.SYMTYPE
        info.linkname = target
        return self._append(Entry(info))

    def remove(self, end: str) -> None:
        self.entries.remove(self.find(end))

    def rename(self, end: str, new: Callable[[str], str]) -> None:
        info = self.find(end).info
        info.name = new(info.name)

    def _append(self, entry: Entry) -> Entry:
        self.entries.append(entry)
        return entry

    def _folders(self, name: str) -> None:
        parts = name.split("/")[:-1]
        known = set(self.names())
        for count in range(1, len(parts) + 1):
            folder = "/".join(parts[:count])
            if folder not in ("", ".", *known):
                info = tarfile.TarInfo(folder)
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                self.entries.append(Entry(info))


def copy_release(dist: Path, folder: Path) -> Path:
    """A copy of the release in `dist`, in `folder` (made anew), to be doctored."""
    (folder / "kernel").mkdir(parents=True)
    for path in (dist / "kernel").iterdir():
        shutil.copyfile(path, folder / "kernel" / path.name)
    for name in ("images", "manifest.json", "SHA256SUMS"):
        if (dist / name).exists():
            shutil.copyfile(dist / name, folder / name)
    return folder


def version(dist: Path) -> str:
    """The kernel release V of a release folder."""
    return find_release(dist).v


def package(dist: Path, kind: str) -> Path:
    """The file of a package: `kernel`, `extras`, `headers`, `source`."""
    return find_release(dist).packages[kind]


def read(package: Path) -> Archive:
    """All members of a package."""
    with tarfile.open(package) as tar:
        return Archive([Entry(info, _content(tar, info)) for info in tar.getmembers()])


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info) if info.isreg() else None
    return file.read() if file else b""


def write(package: Path, archive: Archive) -> None:
    """Write a package (gzip) with these members, as they are."""
    plain = io.BytesIO()
    pax = any(entry.info.pax_headers for entry in archive.entries)
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT) as tar:
        for entry in archive.entries:
            entry.info.size = len(entry.data) if entry.info.isreg() else 0
            tar.addfile(entry.info, io.BytesIO(entry.data) if entry.info.isreg() else None)
    package.write_bytes(gzip.compress(plain.getvalue(), compresslevel=1, mtime=0))


def repack(package: Path, change: Callable[[Archive], object]) -> None:
    """Change a package's members, and put right what the release says of its checksums."""
    archive = read(package)
    change(archive)
    write(package, archive)
    resum(package.parent.parent)


def retree(package: Path, change: Callable[[Path], object]) -> None:
    """Change a package in its unpacked form (to run depmod over it, for example), and put the checksums right."""
    with tempfile.TemporaryDirectory() as temp:
        root = Path(temp)
        with tarfile.open(package) as tar:
            tar.extractall(root)
        change(root)
        archive = Archive()
        with tarfile.open(fileobj=io.BytesIO(), mode="w") as tar:
            for path in sorted(root.rglob("*")):
                info = tar.gettarinfo(path, f"./{path.relative_to(root)}")
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                if info.islnk():
                    info.type = tarfile.REGTYPE
                archive.entries.append(Entry(info, path.read_bytes() if info.isreg() else b""))
    write(package, archive)
    resum(package.parent.parent)


def reindex(dist: Path) -> None:
    """Run depmod anew over the kernel package's modules."""
    v = version(dist)
    retree(
        package(dist, "kernel"), lambda root: subprocess.run(["depmod", "-b", root, v], check=True, capture_output=True)
    )


def relist(dist: Path) -> None:
    """Write the two module lists anew from what the packages hold."""
    v = version(dist)
    for kind, name in (("kernel", "modules-main.list"), ("extras", "modules-extra.list")):
        base = f"./lib/modules/{v}/"
        found = sorted({each.removeprefix(base) for each in read(package(dist, kind)).names() if each.endswith(".ko")})
        (dist / "kernel" / name).write_text("".join(f"{path}\n" for path in found))
    resum(dist)


def failures(dist: Path, *slow: str, before: Path | None = None) -> set[str]:
    """The names of the checks that a release fails: of the cheap ones, and of some `slow` ones.

    Args:
        before: A release that has passed; what is known of that changes nothing.
    """
    reports = [examine(dist, cheap=True), *([examine(dist, cheap=False, only=slow)] if slow else [])]
    if before:
        proved = read_proved(before, own_code())
        assert proved is not None
        assert examine(dist, cheap=True, proved=proved).results == reports[0].results
    return {result.check.name for report in reports for result in report.failed}


def edit(dist: Path, name: str, change: Callable[[str], str]) -> None:
    """Change a file beside the packages (`kernel/config`, `images`), and put the checksums right."""
    path = dist / name
    before = path.read_text()
    after = change(before)
    assert after != before, f"{name} is as it was"
    path.write_text(after)
    resum(dist)


def edit_manifest(dist: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest, and sum it up; what it says of the files is as the test wants it."""
    path = dist / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest, indent=1) + "\n")
    _sum_up(dist)


def resum(dist: Path) -> None:
    """Have the manifest and SHA256SUMS say what the files are, where there are such."""
    if (dist / "manifest.json").exists():
        outputs = {f"kernel/{path.name}": path for path in sorted((dist / "kernel").iterdir())}
        told = {name: {"size": path.stat().st_size, "sha256": _sha256(path)} for name, path in outputs.items()}
        edit_manifest(dist, lambda manifest: manifest.update(outputs=told))
    else:
        _sum_up(dist)


def _sum_up(dist: Path) -> None:
    """Have SHA256SUMS, where there is one, say what the files are."""
    files = [*sorted((dist / "kernel").iterdir()), *dist.glob("manifest.json")]
    if (dist / "SHA256SUMS").exists():
        lines = [f"{_sha256(path)}  {path.relative_to(dist)}\n" for path in files]
        (dist / "SHA256SUMS").write_text("".join(lines))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
