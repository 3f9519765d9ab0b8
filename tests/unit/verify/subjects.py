"""Releases made by hand as the checks get them, and real modules for them, compiled from a few lines."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from builder.releasefolder import find_release
from builder.verify.subject import Subject
from tests.unit.verify.releases import Files, V, release

FOLDER = f"./lib/modules/{V}"
BOOT: Files = {
    f"./boot/vmlinuz-{V}": b"kernel",
    f"./boot/System.map-{V}": b"ffffffff81000000 T printk\nffffffff81000000 R __ksymtab_printk\n",
    f"./boot/config-{V}": b"CONFIG_MODULES=y\n",
}


def subject(tmp_path: Path, *, a: str = "x86", **packages: Files) -> Subject:
    """A release of these packages (`kernel`, `extras`, `headers`), see `release`.

    The kernel package has a kernel, a System.map and a config, unless it names others; no package is missing.
    """
    root = release(
        tmp_path / "dist",
        a=a,
        kernel={**BOOT, **packages.get("kernel", {})},
        extras=packages.get("extras", {f"{FOLDER}/none": b""}),
        headers=packages.get("headers", {"./Makefile": b""}),
    )
    work = tmp_path / "work"
    work.mkdir()
    return Subject(find_release(root), work)


def module(tmp_path: Path, source: str, **fields: str) -> bytes:
    """A module: what gcc makes of C source, with these fields of `.modinfo` (`license`, `depends`)."""
    info = "".join(f"{key}={value}\\0" for key, value in fields.items())
    text = f'const char modinfo[] __attribute__((section(".modinfo"), aligned(1))) = "{info}";\n{source}\n'
    out = tmp_path / "module.o"
    subprocess.run(
        ["gcc", "-c", "-O1", "-ffreestanding", "-fno-pic", "-xc", "-", "-o", out], input=text.encode(), check=True
    )
    return out.read_bytes()


def exporting(*symbols: str, crcs: Mapping[str, int] | None = None) -> str:
    """C source that defines functions and exports them, as EXPORT_SYMBOL does since Linux 6.4."""
    words = [
        f"void {name}(void) {{}}\n"
        f'asm(".section __ksymtab_strings,\\"a\\"\\n.asciz \\"{name}\\"\\n'
        f'.section ___ksymtab+{name},\\"a\\"\\n__ksymtab_{name}: .quad {name}\\n.text\\n");\n'
        for name in symbols
    ]
    words += [f'asm(".data\\n__crc_{name}: .long {crc}\\n.text\\n");\n' for name, crc in (crcs or {}).items()]
    return "".join(words)


def using(*symbols: str) -> str:
    """C source that calls functions from elsewhere."""
    calls = "".join(f"extern void {name}(void); " for name in symbols)
    return f"{calls}\nvoid use(void) {{ {''.join(f'{name}(); ' for name in symbols)}}}\n"
