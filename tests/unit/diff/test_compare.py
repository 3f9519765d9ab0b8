"""Each kind of difference, between two release folders of real bytes."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.diff.asjson import as_json
from builder.diff.run import differences
from builder.errors import InputError
from tests.unit.diff.releases import MODVERSIONS, Made, make_module, symvers

V = "6.12.1-acme"
LATER = "6.12.2-acme"
EXT4, XFS, DUMMY = "kernel/fs/ext4/ext4.ko", "kernel/fs/xfs/xfs.ko", "kernel/drivers/net/dummy.ko"
PRINTK = (0x11111111, "printk", "vmlinux", "EXPORT_SYMBOL", "")
LAYOUT = (0x22222222, "module_layout", "vmlinux", "EXPORT_SYMBOL", "")
EXT4_SYMBOL = (0x33333333, "ext4_get", "fs/ext4/ext4", "EXPORT_SYMBOL_GPL", "EXT4")
SOURCE = {"kind": "tree", "from": "tree linux", "kernel_version": "6.12.1"}
MANIFEST = {
    "source": SOURCE,
    "inputs": {
        "config/kernel-config": {"size": 1, "sha256": "a" * 64},
        "patches/0001-a.patch": {"size": 1, "sha256": "b" * 64},
        "patches/0002-b.patch": {"size": 1, "sha256": "c" * 64},
    },
    "toolchain": {"packages": {"gcc": "14.2", "make": "4.4"}},
}


def modules(v: str = V, flags: str = "SMP mod_unload ") -> dict[str, Any]:
    return {
        "main": {EXT4: make_module(v, flags=flags, alias="fs-ext4"), XFS: make_module(v, flags=flags)},
        "extra": {DUMMY: make_module(v, flags=flags)},
    }


def release(v: str = V, *, versioned: bool = False, **changed: Any) -> Made:
    """A release of two modules in the kernel package and one in the extras."""
    flags = MODVERSIONS if versioned else "SMP mod_unload "
    config = {"MODULES": "y", "EXT4_FS": "m", "LOCALVERSION": '"-acme"'} | ({"MODVERSIONS": "y"} if versioned else {})
    lines = (PRINTK, LAYOUT, EXT4_SYMBOL)
    if not versioned:
        lines = tuple((0, *line[1:]) for line in lines)  # type: ignore[assignment]
    made = Made(
        v=v,
        config=config,
        **modules(v, flags),
        firmware={"nic/one.bin": b"one", "nic/latest.bin": "one.bin"},
        extra_firmware={"gpu/two.bin": b"two"},
        symvers=symvers(*lines),
        manifest=MANIFEST,
    )
    return replace(made, **changed)


def diff(tmp_path: Path, old: Made, new: Made, compression: str = "gz") -> dict[str, Any]:
    """The differences as JSON, without what both have in common anyway."""
    found = differences(
        str(old.write(tmp_path / "old")), str(new.write(tmp_path / "new", compression=compression)), note=pytest.fail
    )
    told: dict[str, Any] = json.loads(json.dumps(as_json(found)))
    assert told["same"] == found.same
    return told


def nothing(told: dict[str, Any], *parts: str) -> None:
    """See that nothing but these parts differs."""
    empty = {"config", "modules", "symbols", "firmware", "source", "patches", "toolchain"} - set(parts)
    for part in empty:
        values = told[part].values() if isinstance(told[part], dict) else [told[part]]
        assert not any(values), part


@pytest.mark.parametrize("compression", ["gz", "xz"])
def test_the_same_release(tmp_path: Path, compression: str) -> None:
    told = diff(tmp_path, release(), release(), compression)
    nothing(told)
    assert not told["kernel_image_changed"] and told["notes"] == []
    assert told["external_modules"]["rebuild"] is False
    if compression == "gz":
        assert told["same"]


def test_a_version_bump_alone_changes_no_module(tmp_path: Path) -> None:
    told = diff(tmp_path, release("6.12.9-acme"), release("6.12.10-acme"))
    nothing(told)
    assert not told["same"]
    assert (told["old"]["release"], told["new"]["release"]) == ("6.12.9-acme", "6.12.10-acme")


def test_config(tmp_path: Path) -> None:
    config = {"MODULES": "y", "EXT4_FS": "y", "LOCALVERSION": '"-acme"', "CC_VERSION_TEXT": '"gcc 14"'}
    new = {"MODULES": "y", "XFS_FS": "m", "LOCALVERSION": '"-beta"', "CC_VERSION_TEXT": '"gcc 15"', "HZ": "250"}
    told = diff(tmp_path, release(config=config), release(config=new))
    nothing(told, "config")
    rows = [(each["name"], each["old"], each["new"], each["group"]) for each in told["config"]]
    assert rows == [
        ("CC_VERSION_TEXT", '"gcc 14"', '"gcc 15"', "toolchain"),
        ("EXT4_FS", "y", "n", "options"),
        ("HZ", "n", "250", "options"),
        ("LOCALVERSION", '"-acme"', '"-beta"', "toolchain"),
        ("XFS_FS", "n", "m", "options"),
    ]


def test_an_option_that_is_off_is_one_that_is_absent(tmp_path: Path) -> None:
    told = diff(tmp_path, release(config={"A": "y", "B": "n"}), release(config={"A": "y"}))
    nothing(told)


def test_the_config_beside_the_packages_counts_where_they_have_none(tmp_path: Path) -> None:
    old, new = (release(config={}).write(tmp_path / name) for name in ("old", "new"))
    (old / "kernel/config").write_text("CONFIG_A=y\n# CONFIG_B is not set\n")
    (new / "kernel/config").write_text("CONFIG_A=m\n")
    told = as_json(differences(str(old), str(new), note=pytest.fail))
    assert told["config"] == [{"name": "A", "old": "y", "new": "m", "group": "options"}]


def test_modules_added_and_removed(tmp_path: Path) -> None:
    new = {EXT4: modules()["main"][EXT4], "kernel/fs/fat/fat.ko": make_module(V)}
    told = diff(tmp_path, release(), release(main=new))
    nothing(told, "modules")
    assert [(each["path"], each["package"]) for each in told["modules"]["added"]] == [
        ("kernel/fs/fat/fat.ko", "kernel")
    ]
    (gone,) = told["modules"]["removed"]
    assert gone == {"path": XFS, "package": "kernel", "size": len(modules()["main"][XFS])}


def test_a_module_moved_to_another_package(tmp_path: Path) -> None:
    all_of = modules()
    main, extra = {EXT4: all_of["main"][EXT4]}, {**all_of["extra"], XFS: all_of["main"][XFS]}
    told = diff(tmp_path, release(), release(main=main, extra=extra))
    nothing(told, "modules")
    assert told["modules"]["moved"] == [{"path": XFS, "old": "kernel", "new": "extras"}]
    assert not told["modules"]["added"] and not told["modules"]["removed"] and not told["modules"]["changed"]


def test_a_module_at_another_path(tmp_path: Path) -> None:
    all_of = modules()
    main = {EXT4: all_of["main"][EXT4], "kernel/fs/new-place/xfs.ko": make_module(V, code=b"other")}
    told = diff(tmp_path, release(), release(main=main))
    nothing(told, "modules")
    assert told["modules"]["renamed"] == [{"old": XFS, "new": "kernel/fs/new-place/xfs.ko"}]
    assert [each["path"] for each in told["modules"]["changed"]] == ["kernel/fs/new-place/xfs.ko"]
    assert not told["modules"]["added"] and not told["modules"]["removed"]


def test_two_modules_of_one_name_are_not_taken_for_one_that_moved(tmp_path: Path) -> None:
    old = {f"kernel/{place}/power.ko": make_module(V) for place in ("a", "b")}
    new = {f"kernel/{place}/power.ko": make_module(V) for place in ("c", "d")}
    told = diff(tmp_path, release(main=old), release(main=new))
    assert not told["modules"]["renamed"]
    assert (len(told["modules"]["added"]), len(told["modules"]["removed"])) == (2, 2)


def test_changed_modules(tmp_path: Path) -> None:
    main = {EXT4: make_module(V, flags="SMP mod_unload ", alias="fs-ext5"), XFS: modules()["main"][XFS]}
    extra = {DUMMY: make_module(V, flags="SMP mod_unload ", code=b"other code")}
    told = diff(tmp_path, release(), release(main=main, extra=extra))
    nothing(told, "modules")
    assert [(each["path"], each["package"]) for each in told["modules"]["changed"]] == [
        (DUMMY, "extras"),
        (EXT4, "kernel"),
    ]


def test_symbols(tmp_path: Path) -> None:
    new = symvers(
        (0x99999999, *PRINTK[1:]),
        LAYOUT,
        (EXT4_SYMBOL[0], "ext4_get", "fs/ext4/ext4", "EXPORT_SYMBOL_GPL", "EXT5"),
        (0x44444444, "vfs_read", "vmlinux", "EXPORT_SYMBOL", ""),
    )
    told = diff(tmp_path, release(versioned=True), release(versioned=True, symvers=new))
    nothing(told, "symbols")
    assert [each["name"] for each in told["symbols"]["added"]] == ["vfs_read"]
    changed = {each["name"]: (each["old"], each["new"]) for each in told["symbols"]["changed"]}
    assert [each["crc"] for each in changed["printk"]] == ["0x11111111", "0x99999999"]
    assert [each["namespace"] for each in changed["ext4_get"]] == ["EXT4", "EXT5"]
    (reason,) = told["external_modules"]["reasons"]
    assert reason == "2 symbols that they may use changed: 1 changed CRC, 1 became GPL-only or went into a namespace"


def test_modversions_switched_on_is_not_a_change_of_every_symbol(tmp_path: Path) -> None:
    told = diff(tmp_path, release(), release(versioned=True))
    nothing(told, "config")
    assert told["external_modules"] == {
        "rebuild": True,
        "reasons": [
            'the options in vermagic changed: "SMP mod_unload" became "SMP preempt mod_unload modversions"',
        ],
    }


@pytest.mark.parametrize(
    ("old", "new", "needed", "reason"),
    [
        (release(versioned=True), release(LATER, versioned=True), False, f"installed again, in lib/modules/{LATER}"),
        (release(versioned=True), release(versioned=True), False, "every symbol that they may use is as it was"),
        (
            release(),
            release(LATER),
            True,
            f"MODVERSIONS is off, so the kernel refuses the modules of another release ({V}",
        ),
        (release(), release(), False, "what exports symbols is as it was"),
        (release(), release(image=b"another"), True, "the kernel would not notice a misfit"),
        (
            release(),
            release(main={**modules()["main"], EXT4: make_module(V, flags="SMP mod_unload ", code=b"x")}),
            True,
            "the kernel would not notice a misfit",
        ),
        (
            release(),
            release(main={**modules()["main"], XFS: make_module(V, flags="SMP mod_unload ", code=b"x")}),
            False,
            "what exports symbols is as it was",
        ),
        (release(versioned=True), release(versioned=True, image=b"another"), False, "every symbol"),
        (
            release(versioned=True),
            release(versioned=True, symvers=symvers(PRINTK, (1, *LAYOUT[1:]))),
            True,
            "2 symbols that they may use changed: 1 changed CRC, 1 went away",
        ),
        (
            release(versioned=True),
            release(versioned=True, symvers=symvers(PRINTK, (1, *LAYOUT[1:]), EXT4_SYMBOL)),
            True,
            "one of them, module_layout, is used by every module",
        ),
        (
            release(versioned=True),
            release(versioned=True, symvers=symvers((*PRINTK[:3], "EXPORT_SYMBOL_GPL", ""), LAYOUT, EXT4_SYMBOL)),
            True,
            "1 symbol that they may use changed: 1 became GPL-only",
        ),
        (
            release(versioned=True),
            release(versioned=True, **modules(V, "SMP mod_unload modversions RANDSTRUCT ")),
            True,
            "the options in vermagic changed",
        ),
        (release(versioned=True), release(versioned=True, a="arm64"), True, "another architecture (x86 became arm64)"),
    ],
)
def test_what_follows_for_external_modules(tmp_path: Path, old: Made, new: Made, needed: bool, reason: str) -> None:
    told = diff(tmp_path, old, new)["external_modules"]
    assert told["rebuild"] is needed
    assert any(reason in each for each in told["reasons"]), told["reasons"]


def test_firmware(tmp_path: Path) -> None:
    new = release(
        firmware={"nic/one.bin": b"ONE", "nic/latest.bin": "two.bin", "gpu/two.bin": b"two", "wifi.bin": b"x"},
        extra_firmware={},
        revision="20250202",
    )
    told = diff(tmp_path, release(), new)
    nothing(told, "firmware")
    assert told["firmware"] == {
        "added": [{"path": "wifi.bin", "package": "kernel", "size": 1}],
        "removed": [],
        "moved": [{"path": "gpu/two.bin", "old": "extras", "new": "kernel"}],
        "renamed": [],
        "changed": [
            {"path": "nic/latest.bin", "package": "kernel", "old_size": 0, "new_size": 0},
            {"path": "nic/one.bin", "package": "kernel", "old_size": 3, "new_size": 3},
        ],
    }
    assert [told[each]["firmware_revision"] for each in ("old", "new")] == ["20250101", "20250202"]


def test_what_the_manifests_say(tmp_path: Path) -> None:
    manifest = {
        "source": {**SOURCE, "kernel_version": "6.12.2"},
        "inputs": {
            "patches/0001-a.patch": {"size": 1, "sha256": "d" * 64},
            "patches/0003-c.patch": {"size": 1, "sha256": "e" * 64},
        },
        "toolchain": {"packages": {"gcc": "14.3", "make": "4.4"}},
    }
    told = diff(tmp_path, release(), release(manifest=manifest))
    nothing(told, "source", "patches", "toolchain")
    assert told["source"] == [{"name": "kernel_version", "old": "6.12.1", "new": "6.12.2"}]
    assert told["patches"] == {
        "added": {"0003-c.patch": "e" * 64},
        "removed": {"0002-b.patch": "c" * 64},
        "changed": [{"name": "0001-a.patch", "old": "b" * 64, "new": "d" * 64}],
    }
    assert told["toolchain"]["changed"] == [{"name": "gcc", "old": "14.2", "new": "14.3"}]


@pytest.mark.parametrize(
    "manifest", [{}, {"inputs": [], "source": 1, "toolchain": {"packages": "gcc"}}, {"inputs": {"patches/a": 1}}]
)
def test_a_manifest_of_another_form(tmp_path: Path, manifest: dict[str, Any]) -> None:
    told = diff(tmp_path, release(), release(manifest=manifest))
    if manifest:
        assert set(told["patches"]["removed"]) == {"0001-a.patch", "0002-b.patch"}
    else:
        assert told["patches"] is None and "has no manifest" in told["notes"][0]


def test_sizes(tmp_path: Path) -> None:
    told = diff(tmp_path, release(), release(image=b"a larger kernel", firmware={"nic/one.bin": b"one and more"}))
    sizes = {each["name"]: (each["old"], each["new"]) for each in told["sizes"]}
    assert told["kernel_image_changed"]
    assert sizes["kernel image"] == (6, 15)
    assert sizes["firmware in the kernel package"] == (3, 12)
    assert sizes["firmware in the extras package"] == (3, 3)
    both = sum(len(content) for content in modules()["main"].values())
    assert sizes["modules in the kernel package"] == (both, both)
    for kind, prefix in (("kernel", ""), ("extras", "extra-"), ("headers", "build-")):
        files = [tmp_path / name / "kernel" / f"{prefix}linux-{V}-x86.tar.gz" for name in ("old", "new")]
        assert sizes[f"{kind} package"] == tuple(file.stat().st_size for file in files)


def test_a_release_without_extras_and_headers(tmp_path: Path) -> None:
    release().write(tmp_path / "old")
    new = release(main={EXT4: modules()["main"][EXT4]}, manifest=None).write(tmp_path / "new")
    for kind in ("extra", "build"):
        (new / "kernel" / f"{kind}-linux-{V}-x86.tar.gz").unlink()
    told = as_json(differences(str(tmp_path / "old"), str(new), note=pytest.fail))
    assert [each["path"] for each in told["modules"]["removed"]] == [XFS]
    assert told["firmware"]["removed"] == []
    assert told["symbols"] is None and told["patches"] is None
    assert told["external_modules"] == {"rebuild": None, "reasons": [f"there is no Module.symvers in {new}"]}
    assert [note.removeprefix(f"{new} ").partition(":")[0] for note in told["notes"]] == [
        "has no extras package",
        "has no headers package",
        "has no manifest",
    ]
    assert told["new"]["packages"] == ["kernel"]


def test_of_the_headers_only_the_start_is_read(tmp_path: Path) -> None:
    for name in ("old", "new"):
        folder = release().write(tmp_path / name)
    package = folder / "kernel" / f"build-linux-{V}-x86.tar.gz"
    write_cut_off(package)
    assert differences(str(tmp_path / "old"), str(folder), note=pytest.fail).symbols is not None


def write_cut_off(package: Path) -> None:
    """Have a headers package that breaks off after what is compared."""
    whole = gzip.decompress(package.read_bytes())
    at = whole.index(b"./arch/x86/Makefile")
    package.write_bytes(gzip.compress(whole[: at + 600]))


@pytest.mark.parametrize("kind", ["kernel", "extras", "headers"])
def test_a_damaged_package_is_named(tmp_path: Path, kind: str) -> None:
    for name in ("old", "new"):
        release().write(tmp_path / name)
    prefix = {"kernel": "", "extras": "extra-", "headers": "build-"}[kind]
    package = tmp_path / "new/kernel" / f"{prefix}linux-{V}-x86.tar.gz"
    package.write_bytes(package.read_bytes()[:60])
    with pytest.raises(InputError, match=f"the {kind} package cannot be read") as caught:
        differences(str(tmp_path / "old"), str(tmp_path / "new"), note=pytest.fail)
    assert caught.value.where == package


def test_a_config_that_is_none(tmp_path: Path) -> None:
    release().write(tmp_path / "old")
    new = release(config={"A": "<html>"}).write(tmp_path / "new")
    with pytest.raises(InputError, match="not a line of a kernel config") as caught:
        differences(str(tmp_path / "old"), str(new), note=pytest.fail)
    assert caught.value.where == f"the config of {new}"


def test_a_sparse_module_that_pretends_to_a_size(tmp_path: Path) -> None:
    """GNU tar's sparse format 1.0: what the header claims would be read into memory."""
    for name in ("old", "new"):
        release().write(tmp_path / name)
    package = tmp_path / "new/kernel" / f"linux-{V}-x86.tar.gz"
    with tarfile.open(package, "w:gz") as tar:
        for claimed in (2 << 30, 1 << 60):
            info = tarfile.TarInfo(f"./lib/modules/{V}/kernel/a.ko")
            info.size = 512
            parts = {"major": "1", "minor": "0", "name": info.name, "realsize": str(claimed)}
            info.pax_headers = {f"GNU.sparse.{key}": value for key, value in parts.items()}
            tar.addfile(info, io.BytesIO(b"1\n0\n1\n".ljust(512, b"\0")))
    with pytest.raises(InputError, match="larger than"):
        differences(str(tmp_path / "old"), str(tmp_path / "new"), note=pytest.fail)
