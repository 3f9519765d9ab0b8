"""What the packages say of the kernel itself: its config, and what it exports to modules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from builder.stages.dotconfig import set_options
from builder.stages.modules import normal
from builder.verify.model import Unreadable
from builder.verify.subject import Subject

KERNEL_IMAGE = "vmlinux"
_CONFIG_PREFIX = "CONFIG_"
_EXPORT = re.compile(rb" __ksymtab_([^\r\n]*)")


@dataclass(frozen=True, kw_only=True)
class Export:
    """One line of Module.symvers (Documentation/kbuild/modules.rst, "Symbols From the Kernel").

    Attributes:
        crc: 0 where the kernel has no symbol versions.
        owner: Name of the module that exports it (`-` written as `_`), or `vmlinux`.
        gpl_only: Only modules under a licence that is compatible with the GPL may use it.
        namespace: Modules that use it must import this; empty for most.
    """

    crc: int
    owner: str
    gpl_only: bool
    namespace: str


@lru_cache(maxsize=1)  # these are asked for by many checks of one release
def config(subject: Subject) -> Mapping[str, str]:
    """The options that are set in the kernel package's `boot/config-V`, without `CONFIG_`, and their values.

    Raises:
        Unreadable: There is no such file.
    """
    text = _read(subject.tree("kernel") / f"boot/config-{subject.release.v}").decode(errors="replace")
    return {name.removeprefix(_CONFIG_PREFIX): value for name, value in set_options(text).items()}


@lru_cache(maxsize=1)
def system_map_exports(subject: Subject) -> frozenset[str]:
    """The symbols that the kernel image exports, by the kernel package's System.map; none where it does not tell.

    Raises:
        Unreadable: There is no such file.
    """
    content = _read(subject.tree("kernel") / f"boot/System.map-{subject.release.v}")
    return frozenset(name.decode(errors="replace") for name in _EXPORT.findall(content))


@lru_cache(maxsize=1)
def symvers(subject: Subject) -> Mapping[str, Export]:
    """Module.symvers of the headers package, by symbol.

    Raises:
        Unreadable: There is no such file, or it is something else.
    """
    if (content := subject.headers_file("Module.symvers")) is None:
        raise Unreadable("Module.symvers cannot be read: No such file or directory")
    return parse_symvers(content.decode(errors="replace"))


def parse_symvers(text: str) -> dict[str, Export]:
    """The lines of a Module.symvers: CRC, symbol, module, kind of export, and since Linux 5.4 the namespace.

    Raises:
        Unreadable: A line is of another form.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split("\t")
        try:
            crc, symbol, owner, kind, namespace = [*fields, ""][:5]
            if not kind.startswith("EXPORT_"):  # Linux 5.4 to 5.6: the namespace is before the module
                crc, symbol, namespace, owner, kind = fields
            found[symbol] = Export(
                crc=int(crc, 16),
                owner=KERNEL_IMAGE if owner == KERNEL_IMAGE else normal(owner),
                gpl_only=kind.startswith("EXPORT_SYMBOL_GPL"),
                namespace=namespace,
            )
        except ValueError:
            raise Unreadable(f"Module.symvers of the headers package, line {number}: {line[:60]!r}") from None
    return found


def is_on(values: Mapping[str, str], option: str) -> bool:
    """Whether an option of `config` is `y`."""
    return values.get(option) == "y"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"{path.name} cannot be read: {error.strerror}") from None
