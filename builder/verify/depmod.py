"""Runs this machine's depmod over the modules of a release, in a tree of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from builder.process import run
from builder.release import take_over
from builder.stages.split import INDEX_INPUTS
from builder.verify.shipped import system_map_exports
from builder.verify.subject import Subject

# Where distributions keep it; an ordinary user's PATH may lack it.
_FOLDERS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """What depmod made and said.

    Attributes:
        folder: `lib/modules/V` with the modules and the fresh indexes.
        complaints: The lines of its standard error, without paths of this machine; empty when all is well.
        absent: What it reads, beside modules, and the kernel package has not (for another check to say).
    """

    folder: Path
    complaints: tuple[str, ...]
    absent: tuple[str, ...]


def find_depmod() -> Path | None:
    """kmod's depmod, if this machine has it (busybox's writes no binary indexes and knows no `-e`)."""
    found = shutil.which("depmod", path=os.pathsep.join((os.environ.get("PATH", ""), *_FOLDERS)))
    return Path(found) if found and depmod_version(Path(found)) else None


@lru_cache(maxsize=1)
def depmod_version(depmod: Path) -> str:
    """Its version, as kmod says it (`kmod version 34`), or nothing."""
    first = run([depmod, "--version"], check=False).stdout.partition("\n")[0].strip()
    return first if first.startswith("kmod") else ""


def index(subject: Subject, depmod: Path, kinds: Sequence[str]) -> Indexed:
    """Index the modules of one or both packages from nothing; see `index_ahead`."""
    return index_ahead(subject, depmod, kinds).result()


@lru_cache(maxsize=2)  # the checks look at one release, with and without its extras
def index_ahead(subject: Subject, depmod: Path, kinds: Sequence[str]) -> Future[Indexed]:
    """Begin to index the modules of one or both packages from nothing.

    Args:
        kinds: A tuple of `kernel` and `extras`.

    Raises:
        Unreadable: One of the packages, or System.map, is missing.
    """
    base = subject.work / f"depmod-{'-'.join(kinds)}"
    folder = base / "lib/modules" / subject.release.v
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        _link_modules(subject, kind, folder)
    absent = [name for name in INDEX_INPUTS if not (subject.modules_folder("kernel") / name).is_file()]
    for name in set(INDEX_INPUTS).difference(absent):
        shutil.copyfile(subject.modules_folder("kernel") / name, folder / name)
    argv: list[str | Path] = [depmod, "-b", base, *_symbols(subject, base), subject.release.v]
    return subject.beside(_index, argv, folder, absent)


def _index(argv: Sequence[str | Path], folder: Path, absent: Sequence[str]) -> Indexed:
    done = run(argv, check=False)
    lines = [line.replace(f"{folder}/", "") for line in done.stderr.splitlines() if line.strip()]
    lines = [line for line in lines if not any(f"could not open {name} at " in line for name in absent)]
    if done.returncode != 0:
        lines.append(f"depmod: exit code {done.returncode}")
    return Indexed(folder=folder, complaints=tuple(lines), absent=tuple(absent))


def _link_modules(subject: Subject, kind: str, folder: Path) -> None:
    source = subject.modules_folder(kind)
    for path in subject.modules[kind].modules:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():  # a module of both packages is for another check to say
            take_over(source / path, target)


def _symbols(subject: Subject, base: Path) -> list[str | Path]:
    """The options that have depmod report what neither the kernel nor a module exports.

    What it reads is put in its own folder `base`: another depmod may be reading while this is written.

    Where Module.symvers is at hand it compares versions too; the two files exclude each other (depmod(8)).
    """
    if "headers" in subject.release.packages and (content := subject.headers_file("Module.symvers")) is not None:
        path = base / "Module.symvers"
        path.write_bytes(content)
        return ["-e", "-E", path]
    if system_map_exports(subject):
        return ["-e", "-F", subject.tree("kernel") / f"boot/System.map-{subject.release.v}"]
    return []
