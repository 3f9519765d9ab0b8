"""Assembles what is in an image beside the packages: for those that start, a script with the tools that it runs.

The tools are a static busybox and kmod's depmod with its loader and libraries (busybox's own depmod leaves a stale
modules.dep.bin). They are taken from a folder that has them installed, which may be of another architecture than this
machine: nothing of it is run. All times in the result are the epoch, all modes fixed.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from builder.stages.common import StageError, stage_main
from builder.stages.elf import libraries, read_elf
from builder.stages.fixedtimes import finish

APPLETS = (
    *("cat", "chmod", "cp", "echo", "env", "false", "find", "grep", "gunzip", "gzip", "head", "ln", "ls"),
    *("mkdir", "mktemp", "mv", "rm", "rmdir", "sed", "sh", "sleep", "stat", "sync", "tail", "tar", "test", "touch"),
    *("true", "uname", "wc"),
)
BUSYBOX = ("bin/busybox", "usr/bin/busybox")
DEPMOD = ("sbin/depmod", "usr/sbin/depmod", "bin/kmod", "usr/bin/kmod")
LIBRARY_FOLDERS = ("lib/*-linux-*", "usr/lib/*-linux-*", "lib64", "usr/lib64", "lib", "usr/lib")


def put(source: Path, target: Path, mode: int = 0o644) -> None:
    """Copy a file (not a link to it) and give it its mode."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def put_busybox(sysroot: Path, out: Path) -> None:
    """Put a static busybox at OUT/bin/busybox, with a link for each applet.

    Raises:
        StageError: There is none, or it is not static.
    """
    busybox = _tool(sysroot, BUSYBOX, "busybox-static")
    if libraries(busybox)[0] is not None:
        raise StageError(f"{busybox} is not static", hint="install Debian's busybox-static in its place")
    put(busybox, out / "bin/busybox", 0o755)
    for applet in APPLETS:
        (out / "bin" / applet).symlink_to("busybox")


def put_depmod(sysroot: Path, out: Path) -> None:
    """Put kmod's depmod at OUT/sbin/depmod, and its loader and libraries where they are in `sysroot`.

    Raises:
        StageError: It, its loader or a library is missing.
    """
    depmod = _tool(sysroot, DEPMOD, "kmod")
    put(depmod, out / "sbin/depmod", 0o755)
    loader = libraries(depmod)[0]
    if loader:
        put(_below(sysroot, loader.lstrip("/")), out / loader.lstrip("/"), 0o755)
    machine = read_elf(depmod).machine
    todo, done = list(libraries(depmod)[1]), set[str]()
    while todo:
        name = todo.pop()
        if name in done or (loader and name == Path(loader).name):
            continue
        done.add(name)
        library = _library(sysroot, name, machine)
        put(library, out / library.relative_to(sysroot))
        todo += libraries(library)[1]


def _tool(sysroot: Path, places: tuple[str, ...], package: str) -> Path:
    for place in places:
        if (sysroot / place).is_file():
            return sysroot / place
    raise StageError(f"there is no {places[0]} in {sysroot}", hint=f"install Debian's {package} in the stage")


def _below(sysroot: Path, path: str) -> Path:
    """The file at a path of `sysroot`, in which /lib may be usr/lib without being a link to it."""
    for place in (sysroot / path, sysroot / "usr" / path):
        if place.is_file():
            return place
    raise StageError(f"there is no /{path} in {sysroot}", hint="install the libraries that kmod depends on")


def _library(sysroot: Path, name: str, machine: int) -> Path:
    """A library of one architecture."""
    for folder in _folders(sysroot):
        if (folder / name).is_file() and read_elf(folder / name).machine == machine:
            return folder / name
    raise StageError(f"there is no library {name} in {sysroot}", hint="install the libraries that kmod depends on")


def _folders(sysroot: Path) -> Iterator[Path]:
    for place in LIBRARY_FOLDERS:
        yield from sorted(sysroot.glob(place))


def extras(script: Path, sysroot: Path, out: Path) -> None:
    """What os-extras has beside /extras.tar.gz: /usr/bin/extra.sh, busybox and depmod."""
    put_busybox(sysroot, out)
    put_depmod(sysroot, out)
    put(script, out / "usr/bin/extra.sh", 0o755)


def headers(script: Path, sysroot: Path, out: Path) -> None:
    """What os-headers has beside /build.tar.gz: /headers.sh and busybox."""
    put_busybox(sysroot, out)
    put(script, out / "headers.sh", 0o755)


def kernel(boot: Path, release: str, out: Path) -> None:
    """What LinuxKit's `kernel: image:` reads of os-kernel beside the packages as plain tar: /kernel and /System.map.

    Args:
        boot: The folder with the kernel package's boot files.

    Raises:
        StageError: One is missing.
    """
    for name, target in ((f"vmlinuz-{release}", "kernel"), (f"System.map-{release}", "System.map")):
        if not (boot / name).is_file():
            raise StageError(f"the kernel package has no boot/{name}", hint="its release is another one")
        put(boot / name, out / target)


def main() -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--epoch", type=int, required=True, help="the time of all files, seconds since 1970")
    common.add_argument("--out", type=Path, required=True, help="the image's root; made")
    starts = argparse.ArgumentParser(add_help=False)
    starts.add_argument("--script", type=Path, required=True, help="what the image runs")
    starts.add_argument("--sysroot", type=Path, default=Path("/"), help="where the tools are installed (default: /)")
    parser = argparse.ArgumentParser(description=__doc__)
    images = parser.add_subparsers(dest="image", required=True)
    for name in ("extras", "headers"):
        images.add_parser(name, parents=[common, starts])
    plain = images.add_parser("kernel", parents=[common])
    plain.add_argument("--boot", type=Path, required=True, help="the folder with the boot files")
    plain.add_argument("--release", required=True)
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    if options.image == "kernel":
        kernel(options.boot, options.release, options.out)
    else:
        assemble = extras if options.image == "extras" else headers
        assemble(options.script, options.sysroot, options.out)
    finish(options.out, options.epoch)


if __name__ == "__main__":
    stage_main(main)
