"""A reader of release folders that shares no code with rosk: what the consumers rely on, from the bytes alone.

Each function asserts one part of the contract that RancherOS, BurmillaOS and LinuxKit hold a kernel release to.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

INDEXES = {
    "modules.dep",
    "modules.dep.bin",
    "modules.alias",
    "modules.alias.bin",
    "modules.symbols",
    "modules.symbols.bin",
    "modules.softdep",
    "modules.devname",
    "modules.builtin.bin",
}
HEADERS_NEEDED = (
    ".config",
    "Makefile",
    "Module.symvers",
    "System.map",
    "include/config/auto.conf",
    "include/config/kernel.release",
    "include/generated/autoconf.h",
    "include/generated/utsrelease.h",
    "scripts/Makefile.build",
    "scripts/basic/fixdep",
    "scripts/mod/modpost",
)
ELF_MACHINES = {"x86": 62, "arm64": 183}


@dataclass(frozen=True)
class Release:
    """A release folder `dist/` of kernel release `v` and package architecture `a`."""

    dist: Path
    v: str
    a: str = "x86"

    def package(self, kind: str) -> Path:
        names = {
            "kernel": f"linux-{self.v}-{self.a}.tar.gz",
            "headers": f"build-linux-{self.v}-{self.a}.tar.gz",
            "extras": f"extra-linux-{self.v}-{self.a}.tar.gz",
            "source": f"linux-{self.v}-{self.a}-src.tgz",
        }
        return self.dist / "kernel" / names[kind]


def find_release(dist: Path) -> Release:
    """The one release in a folder."""
    (package,) = (path for path in (dist / "kernel").glob("linux-*.tar.gz"))
    v, _, a = package.name.removeprefix("linux-").removesuffix(".tar.gz").rpartition("-")
    return Release(dist, v, a)


def members(package: Path) -> dict[str, tarfile.TarInfo]:
    """Members by their literal name; a package with a duplicate, an escape or a foreign owner fails."""
    with package.open("rb") as file:
        assert file.read(2) == b"\x1f\x8b", f"{package.name} is no gzip"
    listed = subprocess.run(["tar", "-tzf", package], capture_output=True, text=True, check=True)
    assert listed.stderr == ""
    with tarfile.open(package, "r:gz") as tar:
        infos = tar.getmembers()
    assert [name.rstrip("/") for name in listed.stdout.splitlines()] == [info.name for info in infos]
    assert len({info.name for info in infos}) == len(infos), "duplicate members"
    for info in infos:
        assert not info.name.startswith("/")
        assert ".." not in PurePosixPath(info.name).parts
        assert (info.uid, info.gid) == (0, 0), info.name
        assert info.isfile() or info.isdir() or info.issym(), f"{info.name} is of an odd type"
    return {info.name: info for info in infos}


def check_kernel_package(release: Release) -> None:
    v = release.v
    found = members(release.package("kernel"))
    assert all(name.startswith("./") for name in found)
    tops = {name.split("/")[1] for name in found}
    assert tops == {"boot", "lib"}
    boot = {name for name in found if name.startswith("./boot/")}
    assert boot == {f"./boot/vmlinuz-{v}", f"./boot/System.map-{v}", f"./boot/config-{v}"}
    versions = {name.split("/")[3] for name in found if name.startswith("./lib/modules/")}
    assert versions == {v}
    base = f"./lib/modules/{v}/"
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo", *INDEXES):
        assert base + name in found, f"{name} is missing"
    assert not any(base + link in found for link in ("build", "source"))
    _check_links(found)
    with tarfile.open(release.package("kernel")) as tar:
        listed = _modules_dep(_read(tar, base + "modules.dep"))
        shipped = {name.removeprefix(base) for name in found if name.endswith(".ko")}
        assert set(listed) == shipped, "modules.dep is not about the modules that ship"
        for module, needs in listed.items():
            assert set(needs) <= shipped, f"{module} needs {set(needs) - shipped}, which is not in the kernel package"
        for name in sorted(shipped):
            data = _read(tar, base + name)
            assert data[:4] == b"\x7fELF", f"{name} is no plain module"
            assert struct.unpack_from("<H", data, 18)[0] == ELF_MACHINES[release.a]
            assert f"vermagic={v} ".encode() in data
        config = _read(tar, f"./boot/config-{v}")
        assert config == (release.dist / "kernel" / "config").read_bytes()
        if any(name.startswith("./lib/firmware/") for name in found):
            assert re.search(rb"\w", _read(tar, "./lib/firmware/.git-commit"))


def check_extras_package(release: Release) -> None:
    found = members(release.package("extras"))
    allowed = (f"./lib/modules/{release.v}", "./lib/firmware")
    parents = {"./lib", "./lib/modules"}
    for name in found:
        assert name in parents or name.startswith(allowed), f"{name} does not belong in extras"
    assert not {PurePosixPath(name).name for name in found} & (INDEXES | {"WHENCE", "Makefile", ".git"})
    _check_links(found)
    with tarfile.open(release.package("extras")) as tar:
        for name in found:
            if name.endswith(".ko"):
                assert f"vermagic={release.v} ".encode() in _read(tar, name)


def check_split(release: Release) -> None:
    """Kernel and extras packages are disjoint, and are what the two lists say."""
    base = f"./lib/modules/{release.v}/"
    shipped = {}
    for kind in ("kernel", "extras"):
        names = members(release.package(kind))
        shipped[kind] = {name.removeprefix(base) for name in names if name.endswith(".ko")}
    assert not shipped["kernel"] & shipped["extras"]
    for kind, name in (("kernel", "modules-main.list"), ("extras", "modules-extra.list")):
        lines = (release.dist / "kernel" / name).read_text().splitlines()
        assert lines == sorted(set(lines))
        assert set(lines) == shipped[kind], name


def check_headers_package(release: Release) -> None:
    found = members(release.package("headers"))
    srcarch = {"x86": "x86", "arm64": "arm64"}[release.a]
    for name in (*HEADERS_NEEDED, f"arch/{srcarch}/Makefile"):
        assert f"./{name}" in found, f"{name} is missing"
    assert "./scripts/module.lds" in found or any(name.endswith("/kernel/module.lds") for name in found)
    arches = {name.split("/")[2] for name in found if name.startswith("./arch/") and found[name].isdir()}
    assert arches == {srcarch}
    for name in found:
        assert not name.endswith((".pem", ".key", ".priv", ".x509", ".o", ".cmd")), name
    _check_links(found)
    with tarfile.open(release.package("headers")) as tar:
        assert _read(tar, "./include/config/kernel.release").decode().strip() == release.v
        config = _read(tar, "./.config")
        assert config == (release.dist / "kernel" / "config").read_bytes()
        if b"CONFIG_OBJTOOL=y" in config:
            assert "./tools/objtool/objtool" in found
        for name, info in found.items():
            if info.isfile():
                data = _read(tar, name)
                assert b"PRIVATE KEY-----" not in data or name.endswith((".sh", ".c", ".pl", "Makefile")), name
                if data[:4] == b"\x7fELF":
                    assert not _has_interpreter(data), f"{name} is linked dynamically"


def check_source_package(release: Release) -> None:
    with tarfile.open(release.package("source"), "r:gz") as tar:
        first = tar.next()
        assert first is not None
        top = first.name.split("/")[0]
        names = {info.name for info in tar}
    assert f"{top}/Makefile" in names
    assert not any(name.startswith("/") or ".." in name.split("/") for name in names)


def check_dist(release: Release) -> None:
    """The image list, the manifest and the checksums."""
    suffix = "" if release.a == "x86" else f"_{release.a}"
    images = (release.dist / "images").read_text().splitlines()
    names = [re.sub(r".*/", "", image) for image in images]
    assert names == [f"{name}:{release.v}{suffix}" for name in ("os-extras", "os-headers", "os-kernel")]
    manifest = json.loads((release.dist / "manifest.json").read_text())
    assert manifest["release"] == release.v
    assert list(manifest["images"]) == images
    lines = (release.dist / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = {f"kernel/{path.name}" for path in (release.dist / "kernel").iterdir()}
    assert set(sums) == files | {"manifest.json", "images", "sbom.spdx.json", "provenance.intoto.json"}
    for name, digest in sums.items():
        assert hashlib.sha256((release.dist / name).read_bytes()).hexdigest() == digest
    left = {path.name for path in release.dist.iterdir()}
    own = {"kernel", "images", "manifest.json", "SHA256SUMS", "build.json", "build.log", "verify.json", "report.html"}
    own |= {"sbom.spdx.json", "provenance.intoto.json"}
    assert own <= left <= own | {"boot.json", "SHA256SUMS.sig"}


def check_release(release: Release) -> None:
    """All of it."""
    check_kernel_package(release)
    check_extras_package(release)
    check_split(release)
    check_headers_package(release)
    check_source_package(release)
    check_dist(release)


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, name
    return file.read()


def _modules_dep(data: bytes) -> dict[str, list[str]]:
    lines = (line.partition(":") for line in data.decode().splitlines())
    return {module: needs.split() for module, _, needs in lines}


def _check_links(found: dict[str, tarfile.TarInfo]) -> None:
    for name, info in found.items():
        if info.issym():
            assert not info.linkname.startswith("/"), f"{name} is an absolute link"
            target = PurePosixPath(name).parent
            for part in PurePosixPath(info.linkname).parts:
                target = target.parent if part == ".." else target / part
            assert f"./{target}" in found, f"{name} links to {info.linkname}, which does not ship"


def _has_interpreter(elf: bytes) -> bool:
    """Whether an ELF file asks for a dynamic loader (PT_INTERP, elf(5))."""
    offset, size, count = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    return any(struct.unpack_from("<I", elf, offset + index * size)[0] == 3 for index in range(count))
