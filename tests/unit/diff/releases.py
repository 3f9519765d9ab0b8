"""Release folders made of real bytes: packages with ELF modules, a kernel image, a config, Module.symvers."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.unit.stages.elfs import make_elf

VERMAGIC = "SMP preempt mod_unload "
MODVERSIONS = f"{VERMAGIC}modversions "


def make_module(
    v: str,
    *,
    code: bytes = b"\x90\xc3",
    flags: str = VERMAGIC,
    versions: bytes = b"",
    crc: int = 1,
    salt: bytes = b"",
    section: str = ".text",
    **fields: str,
) -> bytes:
    """A module for a release, with the parts that change with every build.

    Args:
        code: What is in its section `section`.
        versions: The CRCs of the symbols that it uses.
        crc: That of the symbol that it exports.
        salt: What its build ID follows from.
        fields: More of its modinfo.
    """
    told = {"license": "GPL", **fields, "vermagic": f"{v} {flags}"}
    strings = [f"{key}={value}".encode() + b"\0" for key, value in told.items()]
    modinfo = b"".join(strings)
    # Its symbols: none; its code; the last string of .modinfo, whose place and size follow from V; a CRC's value.
    symbols = b"".join(
        struct.pack("<IBBHQQ", name, 2, 0, part, value, size)
        for name, part, value, size in (
            (0, 0, 0, 0),
            (1, 2, 0, len(code)),
            (6, 1, len(modinfo) - len(strings[-1]), len(strings[-1])),
            (28, 0xFFF1, crc, 0),
        )
    )
    sections = {
        ".modinfo": modinfo,
        section: code,
        "__versions": versions,
        "__kcrctab": struct.pack("<I", crc),
        ".note.gnu.build-id": f"{v} {salt!r}".encode(),
        ".symtab": symbols,
        ".strtab": b"\0init\0__UNIQUE_ID_vermagic1\0__crc_x\0",
    }
    return make_elf(sections)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A release to write. The attributes are what its packages hold; paths are as under lib/modules/V."""

    v: str = "6.12.1-acme"
    a: str = "x86"
    config: Mapping[str, str] = field(default_factory=lambda: {"MODULES": "y", "EXT4_FS": "m", "HZ": "250"})
    image: bytes = b"kernel"
    main: Mapping[str, bytes] = field(default_factory=dict)
    extra: Mapping[str, bytes] = field(default_factory=dict)
    firmware: Mapping[str, bytes | str] = field(default_factory=dict)
    extra_firmware: Mapping[str, bytes | str] = field(default_factory=dict)
    revision: str = "20250101"
    symvers: str = ""
    manifest: Mapping[str, Any] | None = None

    def packages(self) -> dict[str, dict[str, bytes | str]]:
        """The members of the packages: name (without its `./`) to content, or to the target of a link as text."""
        modules = f"lib/modules/{self.v}"
        config = "".join(f"CONFIG_{name}={value}\n" for name, value in self.config.items()).encode()
        return {
            "kernel": {
                f"boot/System.map-{self.v}": b"ffffffff81000000 T _text\n",
                **({f"boot/config-{self.v}": config} if self.config else {}),
                f"boot/vmlinuz-{self.v}": self.image,
                "lib/firmware/.git-commit": f"{self.revision}\n".encode(),
                **{f"lib/firmware/{path}": content for path, content in self.firmware.items()},
                **{f"{modules}/{path}": content for path, content in self.main.items()},
                f"{modules}/modules.dep": b"",
            },
            "extras": {
                **{f"lib/firmware/{path}": content for path, content in self.extra_firmware.items()},
                **{f"{modules}/{path}": content for path, content in self.extra.items()},
            },
            "headers": {
                **({".config": config} if self.config else {}),
                "Makefile": b"all:\n",
                "Module.symvers": self.symvers.encode(),
                "arch/x86/Makefile": b"\n" * 4096,
            },
        }

    def write(self, root: Path, *, compression: str = "gz") -> Path:
        """Write the release as rosk lays it out; returns the folder."""
        names = {
            "kernel": f"linux-{self.v}-{self.a}.tar.{compression}",
            "extras": f"extra-linux-{self.v}-{self.a}.tar.{compression}",
            "headers": f"build-linux-{self.v}-{self.a}.tar.{compression}",
        }
        (root / "kernel").mkdir(parents=True)
        for kind, members in self.packages().items():
            write_tar(root / "kernel" / names[kind], members, compression)
        if self.manifest is not None:
            (root / "manifest.json").write_text(json.dumps(self.manifest))
        return root


def write_tar(path: Path, members: Mapping[str, bytes | str], compression: str = "") -> None:
    """Write a tar archive; a text is the target of a link."""
    with path.open("wb") as file, tarfile.open(fileobj=file, mode=f"w:{compression}") as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(f"./{name}")
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def symvers(*lines: tuple[int, str, str, str, str]) -> str:
    """A Module.symvers: CRC, symbol, exporter, export, namespace of each symbol."""
    return "".join(f"0x{crc:08x}\t" + "\t".join(rest) + "\n" for crc, *rest in lines)
