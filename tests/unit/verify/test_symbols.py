"""What modules need of each other and of the kernel image, with modules that gcc compiled."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from builder.verify.model import Status, Unreadable
from builder.verify.shipped import Export, parse_symvers
from builder.verify.symbols import module_depends, module_symvers, symbol_use, symbol_versions, symbols_resolve
from tests.unit.verify.releases import V
from tests.unit.verify.subjects import BOOT, FOLDER, exporting, module, subject, using

FAT, VFAT, NIC = (f"{FOLDER}/kernel/{name}.ko" for name in ("fs/fat-core", "fs/vfat", "net/nic"))
SYMVERS = b"0x0000000a\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x0000000b\tfat_open\tfs/fat-core\tEXPORT_SYMBOL_GPL\tFAT\n"
MODVERSIONS = {f"./boot/config-{V}": b"CONFIG_MODVERSIONS=y\n"}


def versions(**crcs: int) -> str:
    """C source of the section __versions."""
    rows = ", ".join(f'{{{crc}, "{name}"}}' for name, crc in crcs.items())
    return (
        "struct info { unsigned long crc; char name[56]; };\n"
        f'const struct info versions[] __attribute__((section("__versions"))) = {{{rows}}};\n'
    )


@pytest.mark.host_programs
def test_each_need_is_met(tmp_path: Path) -> None:
    fat = module(tmp_path, exporting("fat_open") + using("printk"))
    vfat = module(tmp_path, using("fat_open"), depends="fat_core")
    seen = subject(tmp_path, kernel={FAT: fat}, extras={VFAT: vfat}, headers={"./Module.symvers": SYMVERS})
    assert symbols_resolve(seen).saw == "2 modules need 2 symbols: 1 of the kernel image, 1 of modules"
    for run in (symbols_resolve, module_depends, module_symvers):
        assert run(seen).status is Status.OK, run(seen).details


@pytest.mark.host_programs
def test_a_need_that_the_extras_meet_only(tmp_path: Path) -> None:
    fat = module(tmp_path, exporting("fat_open"))
    vfat = module(tmp_path, using("fat_open", "kfree"), depends="fat-core")
    seen = subject(tmp_path, kernel={VFAT: vfat}, extras={FAT: fat})
    assert symbols_resolve(seen).details == (
        "kernel/fs/vfat.ko of the kernel package needs fat_open, "
        "which only kernel/fs/fat-core.ko of the extras exports",
        "kernel/fs/vfat.ko of the kernel package needs kfree, which nothing exports",
    )
    assert module_depends(seen).status is Status.OK


@pytest.mark.host_programs
def test_a_weak_need_may_be_unmet(tmp_path: Path) -> None:
    weak = "extern void rarely(void) __attribute__((weak)); void use(void) { if (rarely) rarely(); }"
    seen = subject(tmp_path, kernel={VFAT: module(tmp_path, weak)})
    assert symbols_resolve(seen).status is Status.OK


@pytest.mark.host_programs
def test_two_exporters(tmp_path: Path) -> None:
    one, two = module(tmp_path, exporting("fat_open", "printk")), module(tmp_path, exporting("fat_open"))
    seen = subject(tmp_path, kernel={FAT: one, VFAT: two})
    assert symbols_resolve(seen).details == (
        "fat_open is exported by kernel/fs/fat-core.ko, kernel/fs/vfat.ko",
        "printk is exported by kernel/fs/fat-core.ko, vmlinux",
    )


@pytest.mark.host_programs
def test_depends_that_is_not_so(tmp_path: Path) -> None:
    fat = module(tmp_path, exporting("fat_open"))
    seen = subject(tmp_path, kernel={FAT: fat, VFAT: module(tmp_path, using("fat_open"), depends="nls")})
    assert module_depends(seen).details == (
        "kernel/fs/vfat.ko uses symbols of fat_core, which its depends does not name",
        "kernel/fs/vfat.ko names nls in its depends, and uses no symbol of it",
    )


@pytest.mark.host_programs
def test_symvers_of_another_build(tmp_path: Path) -> None:
    listed = b"0x0\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x0\tfat_open\tfs/vfat\tEXPORT_SYMBOL\t\n"
    listed += b"0x0\tgone\tvmlinux\tEXPORT_SYMBOL\t\n"
    fat = module(tmp_path, exporting("fat_open", "fat_close"))
    seen = subject(tmp_path, kernel={FAT: fat}, headers={"./Module.symvers": listed})
    assert module_symvers(seen).details == (
        "fat_close of fat_core is not in Module.symvers",
        "Module.symvers has fat_open of vfat, but fat_core exports it",
        "Module.symvers has gone of vmlinux, but nothing exports it",
    )


@pytest.mark.host_programs
def test_what_external_modules_export_is_no_part_of_it(tmp_path: Path) -> None:
    """They are built against the headers, so that these cannot have it."""
    own = f"{FOLDER}/extra/base.ko"
    base = module(tmp_path, exporting("base_answer"))
    listed = {"./Module.symvers": b"0x0\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n"}
    assert module_symvers(subject(tmp_path, kernel={own: base}, headers=listed)).status is Status.OK


@pytest.mark.host_programs
def test_versions_agree(tmp_path: Path) -> None:
    fat = module(tmp_path, exporting("fat_open", crcs={"fat_open": 11}) + using("printk") + versions(printk=10))
    vfat = module(tmp_path, using("fat_open") + ";\n" + versions(fat_open=11))
    files = {**MODVERSIONS, FAT: fat, VFAT: vfat}
    seen = subject(tmp_path, kernel=files, headers={"./Module.symvers": SYMVERS})
    assert symbol_versions(seen).status is Status.OK, symbol_versions(seen).details
    assert symbol_versions(seen).saw == "2 symbol versions that modules expect, against Module.symvers"


@pytest.mark.host_programs
def test_versions_that_differ(tmp_path: Path) -> None:
    fat = module(tmp_path, exporting("fat_open", crcs={"fat_open": 12}) + using("printk") + versions(printk=9))
    vfat = module(tmp_path, using("fat_open") + versions(nothing=1))
    seen = subject(tmp_path, kernel={**MODVERSIONS, FAT: fat, VFAT: vfat}, headers={"./Module.symvers": SYMVERS})
    assert symbol_versions(seen).details == (
        "kernel/fs/fat-core.ko expects printk 0x00000009, Module.symvers has 0x0000000a",
        "kernel/fs/fat-core.ko exports fat_open 0x0000000c, Module.symvers has 0x0000000b",
        "kernel/fs/vfat.ko expects a version of nothing, which is not in Module.symvers",
        "kernel/fs/vfat.ko carries no version of fat_open",
    )


def test_without_modversions_there_is_nothing_to_compare(tmp_path: Path) -> None:
    assert symbol_versions(subject(tmp_path)).status is Status.SKIPPED


@pytest.mark.host_programs
def test_who_may_use_what(tmp_path: Path) -> None:
    fat = module(tmp_path, exporting("fat_open"), license="GPL")
    source = using("fat_open")
    files = {
        FAT: fat,
        VFAT: module(tmp_path, source, license="Dual MIT/GPL", import_ns="FAT"),
        NIC: module(tmp_path, source, license="Proprietary"),
    }
    seen = subject(tmp_path, kernel=files, headers={"./Module.symvers": SYMVERS})
    assert symbol_use(seen).details == (
        "kernel/net/nic.ko (licence Proprietary) uses fat_open, which is for GPL-compatible modules",
        "kernel/net/nic.ko uses fat_open, but does not import its namespace FAT",
    )


@pytest.mark.host_programs
def test_a_namespace_of_named_modules(tmp_path: Path) -> None:
    listed = SYMVERS.replace(b"\tFAT\n", b"\tmodule:vfat,ms-*\n")
    source = using("fat_open")
    files = {
        FAT: module(tmp_path, exporting("fat_open"), license="GPL"),
        VFAT: module(tmp_path, source, license="GPL"),
        f"{FOLDER}/kernel/fs/ms_dos.ko": module(tmp_path, source, license="GPL"),
        NIC: module(tmp_path, source, license="GPL"),
    }
    seen = subject(tmp_path, kernel=files, headers={"./Module.symvers": listed})
    assert symbol_use(seen).details == (
        "kernel/net/nic.ko uses fat_open, but does not import its namespace module:vfat,ms-*",
    )


@pytest.mark.host_programs
def test_a_damaged_module_is_for_other_checks(tmp_path: Path) -> None:
    data = bytearray(module(tmp_path, using("printk"), license="GPL"))
    (table,) = struct.unpack_from("<Q", data, 40)
    rows = range(table, len(data), 64)
    (symtab,) = (row for row in rows if struct.unpack_from("<I", data, row + 4) == (2,))
    struct.pack_into("<I", data, symtab + 4, 1)
    with pytest.raises(Unreadable, match=r"nic\.ko is not a module"):
        symbols_resolve(subject(tmp_path, kernel={NIC: bytes(data)}))


@pytest.mark.host_programs
def test_a_system_map_without_exports(tmp_path: Path) -> None:
    """Then Module.symvers says what the image exports."""
    files = {**BOOT, f"./boot/System.map-{V}": b"ffffffff81000000 T printk\n", NIC: module(tmp_path, using("printk"))}
    seen = subject(tmp_path, kernel=files, headers={"./Module.symvers": SYMVERS.splitlines(keepends=True)[0]})
    assert symbols_resolve(seen).status is Status.OK
    assert module_symvers(seen).status is Status.OK


def test_the_forms_of_a_symvers() -> None:
    """Four fields before Linux 5.4, the namespace in the middle until 5.6, at the end since."""
    lines = (
        "0x01\ta\tfs/fat-core\tEXPORT_SYMBOL",
        "0x01\ta\tNS\tfs/fat-core\tEXPORT_SYMBOL_GPL",
        "0x01\ta\tfs/fat-core\tEXPORT_SYMBOL\t",
        "0x01\ta\tfs/fat-core\tEXPORT_SYMBOL_GPL\tNS",
    )
    plain = Export(crc=1, owner="fat_core", gpl_only=False, namespace="")
    gpl = Export(crc=1, owner="fat_core", gpl_only=True, namespace="NS")
    assert [parse_symvers(line)["a"] for line in lines] == [plain, gpl, plain, gpl]
    for line in ("", "a b c", "0x01\ta", "xyz\ta\tvmlinux\tEXPORT_SYMBOL\t"):
        with pytest.raises(Unreadable, match=r"Module\.symvers of the headers package, line 2"):
            parse_symvers(f"{lines[0]}\n{line}\n")
