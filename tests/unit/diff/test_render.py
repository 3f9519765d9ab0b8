"""What people see of the differences, and what the command returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import builder.cli.diff  # noqa: F401 - hangs the command on the application
from builder.cli.app import app
from builder.diff.render import SHOWN
from builder.release import human_size
from tests.unit.diff.releases import MODVERSIONS, Made, make_module, symvers

V = "6.12.1-acme"
OLD = Made(
    main={
        "kernel/fs/ext4.ko": make_module(V, flags=MODVERSIONS),
        "kernel/fs/xfs.ko": make_module(V, flags=MODVERSIONS),
    },
    config={"MODVERSIONS": "y", "HZ": "250"},
    symvers=symvers((1, "printk", "vmlinux", "EXPORT_SYMBOL", ""), (2, "gone", "fs/xfs", "EXPORT_SYMBOL", "")),
    manifest={"inputs": {"patches/0001-old.patch": {"sha256": "a"}}, "source": {"kernel_version": "6.12.1"}},
)
NEW = Made(
    main={"kernel/fs/ext4.ko": make_module(V, flags=MODVERSIONS, code=bytes(2000))},
    extra={
        "kernel/fs/xfs.ko": make_module(V, flags=MODVERSIONS),
        "kernel/fs/fat.ko": make_module(V, flags=MODVERSIONS),
    },
    config={"MODVERSIONS": "y", "HZ": "300", "LOCALVERSION": '"-acme"'},
    symvers=symvers((7, "printk", "vmlinux", "EXPORT_SYMBOL", "")),
    image=bytes(5000),
    revision="20250202",
    manifest={"inputs": {"patches/0002-new.patch": {"sha256": "b"}}, "source": {"kernel_version": "6.12.2"}},
)


def rosk(tmp_path: Path, *words: str, old: Made = OLD, new: Made = NEW) -> Result:
    folders = tmp_path / "old", tmp_path / "new"
    for folder, made in zip(folders, (old, new), strict=True):
        if not folder.exists():
            made.write(folder)
    return CliRunner().invoke(app, ["diff", *map(str, folders), *words], catch_exceptions=False)


def test_the_text(tmp_path: Path) -> None:
    done = rosk(tmp_path)
    assert done.exit_code == 0
    size = len(make_module(V, flags=MODVERSIONS))
    head, _, rest = done.stdout.partition("\n\n")
    assert head == f"{V} -> {V} (x86)\n  old  {tmp_path}/old\n  new  {tmp_path}/new"
    summary, _, sections = rest.partition("\n\nConfig options (1)")
    lines = summary.splitlines()
    assert lines[:2] == [
        "External modules must be rebuilt: yes",
        "  2 symbols that they may use changed: 1 changed CRC, 1 went away",
    ]
    told = {line[2:12].strip(): line[12:] for line in lines[3:] if line[2:12].strip()}
    assert told["config"] == "1 option, 1 of the version and the toolchain"
    assert told["modules"] == "1 added, 1 moved to another package, 1 changed; 3 in the new release"
    assert told["symbols"] == "1 removed, 1 changed"
    assert told["firmware"] == "same; revision 20250101 -> 20250202"
    assert told["source"] == "kernel_version 6.12.1 -> 6.12.2"
    assert told["patches"] == "1 added, 1 removed"
    assert told["toolchain"] == "same"
    assert told["image"] == "the kernel image differs"
    assert told["sizes"] == "kernel image 6 B -> 5.0 kB (+5.0 kB)"
    for row in (
        "HZ 250 -> 300",
        'LOCALVERSION n -> "-acme"',
        f"kernel/fs/fat.ko  extras package, {human_size(size)}",
        "kernel/fs/xfs.ko  kernel package -> extras package",
        f"kernel/fs/ext4.ko  {human_size(size)} -> {human_size(len(NEW.main['kernel/fs/ext4.ko']))}",
        "printk  crc 0x00000001 -> 0x00000007",
        "gone  fs/xfs, EXPORT_SYMBOL",
        "0001-old.patch",
        "0002-new.patch",
    ):
        assert f"\n  {row}\n" in f"{sections}\n", row


def test_nothing_differs(tmp_path: Path) -> None:
    done = rosk(tmp_path, "--exit-code", new=OLD)
    assert done.exit_code == 0
    assert done.stdout.endswith("\n\nNothing differs\n")


def test_the_exit_code_says_it_when_asked(tmp_path: Path) -> None:
    assert [rosk(tmp_path, *words).exit_code for words in ((), ("--exit-code",), ("--exit-code", "--json"))] == [
        0,
        1,
        1,
    ]


def test_the_json(tmp_path: Path) -> None:
    told = json.loads(rosk(tmp_path, "--json").stdout)
    assert (told["schema"], told["same"]) == (1, False)
    assert told["external_modules"]["rebuild"] is True
    assert [each["name"] for each in told["config"]] == ["HZ", "LOCALVERSION"]


@pytest.mark.parametrize("more", [1, 2])
def test_long_lists_are_cut(tmp_path: Path, more: int) -> None:
    """But not for a single line: `and 1 more` takes as much room."""
    new = Made(config={f"OPTION_{number:03}": "y" for number in range(SHOWN + more)})
    lines = rosk(tmp_path, old=Made(config={"OPTION_000": "y"}), new=Made(config={**new.config, "LAST": "y"})).stdout
    shown = [line for line in lines.splitlines() if line.startswith("  OPTION_") or line.startswith("  LAST")]
    assert len(shown) == (SHOWN + 1 if more == 1 else SHOWN)
    assert ("  and 2 more (--full shows all)" in lines) == (more == 2)
    full = rosk(tmp_path, "--full").stdout
    assert "more (--full" not in full and full.count(" n -> y") == SHOWN + more


def test_text_of_a_release_cannot_drive_the_terminal(tmp_path: Path) -> None:
    new = Made(firmware={"a\x1b[2Jb.bin": b"x", "[red]c.bin": b"y"})
    text = rosk(tmp_path, old=Made(), new=new).stdout
    assert "\x1b" not in text
    assert "[red]c.bin" in text


def test_what_is_no_release(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["diff", str(tmp_path), "nowhere"])
    assert "nowhere is neither a folder nor an image" in str(done.exception)
