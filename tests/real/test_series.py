"""Kernels of Debian's three suites, each by the toolchain of its suite, and one by clang: built, verified, booted.

They are as small as a kernel that boots into a busybox gets. `.venv/bin/pytest -m heavy tests/real/test_series.py` is
all of them.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from tests.conftest import run_rosk
from tests.real.small import boot_small

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

SETTINGS = """\
org: series{token}
kernel:
  source: debian
  version: "{version}"
toolchain:
  compiler: {compiler}
lists:
  unlisted: extra
"""
MODULES = ("kernel/drivers/net/dummy.ko", "kernel/drivers/net/veth.ko")
TINY = (Path(__file__).parent / "tiny.config").read_text()
NEEDED = (
    *("BINFMT_SCRIPT", "BUG", "EPOLL", "EVENTFD", "FILE_LOCKING", "FUTEX", "MULTIUSER", "POSIX_TIMERS", "SHMEM"),
    *("SIGNALFD", "TIMERFD"),
    "SECRETMEM",  # Linux 6.1 asks nobody about it
)
"""What tiny.config switches off, and a busybox, rosk's init or an older kernel needs."""
ADDED = """\
CONFIG_MODVERSIONS=y
CONFIG_BLK_DEV_INITRD=y
CONFIG_DEVTMPFS=y
CONFIG_SERIAL_8250=y
CONFIG_SERIAL_8250_CONSOLE=y
CONFIG_TMPFS=y
"""
SPARED = (
    *("ETHTOOL_NETLINK", "HID_SUPPORT", "INPUT", "IPV6", "SWAP", "VT", "WIRELESS", "WLAN"),
    *(f"RD_{name}" for name in ("BZIP2", "LZ4", "LZMA", "LZO", "XZ", "ZSTD")),
)
"""What is on by itself, and a fourth of the objects."""


def config_of(version: str) -> str:
    """A config that boots, with objtool at work (which is a host program of the headers package)."""
    lines = [line for line in TINY.splitlines() if line not in {f"# CONFIG_{name} is not set" for name in NEEDED}]
    text = "\n".join(lines).replace("CONFIG_UNWINDER_GUESS=y", "CONFIG_UNWINDER_ORC=y")
    if version != "6.12":  # SLUB_TINY took the place of SLOB in Linux 6.2
        text = text.replace("CONFIG_SLUB_TINY=y", "CONFIG_SLOB=y")
    return f"{text}\n{ADDED}" + "".join(f"# CONFIG_{name} is not set\n" for name in SPARED)


@pytest.mark.parametrize(
    ("version", "compiler", "suite", "text"),
    [
        ("5.10", "gcc", "bullseye", "gcc (Debian 10."),
        ("6.1", "gcc", "bookworm", "gcc (Debian 12."),
        ("6.12", "gcc", "trixie", "gcc (Debian 14."),
        ("6.12", "clang", "trixie", "Debian clang version 19."),
    ],
)
def test_a_series(engine: None, tmp_path: Path, version: str, compiler: str, suite: str, text: str) -> None:
    settings = SETTINGS.format(token=secrets.token_hex(4), version=version, compiler=compiler)
    for name, content in {
        "config/rosk.yaml": settings,
        "config/x86/kernel-config": config_of(version),
        "lists/x86/modules.list": "".join(f"{module}\n" for module in MODULES),
        "lists/x86/modules-extra.list": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    done = run_rosk("build", "-C", tmp_path)
    assert done.code == 0, done.out[-4000:] + done.err[-4000:]
    dist = tmp_path / "dist"
    manifest = json.loads((dist / "manifest.json").read_text())
    assert manifest["release"].startswith(f"{version}.")
    assert manifest["settings"]["toolchain"]["suite"] == suite
    config = (dist / "kernel/config").read_text()
    assert f'CONFIG_CC_VERSION_TEXT="{text}' in config
    assert "CONFIG_UNWINDER_ORC=y" in config
    if compiler == "gcc":
        versions = json.loads((dist / "build.json").read_text())["compiled"]["symbol_versions"]
        assert versions["beside_object"] == versions["calls"] > 100, "each suite has its ccache, each kernel its rule"

    passed, modules = boot_small(dist, tmp_path / "console")
    assert {"release", "console", "devtmpfs"} <= passed
    assert modules >= {*MODULES, "kernel/drivers/block/loop.ko"}
    for words in (("verify", dist), ("headers", "test", dist, "--suite", suite)):
        done = run_rosk(*words)
        assert done.code == 0, f"{words}\n{done.out[-4000:]}{done.err[-4000:]}"
