"""What is built and what is edited: the default kernel, a small one, or the made-up tree of the tests."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from builder.stages.dotconfig import config_values

FRAGMENT = "config/benchmark.config"


@dataclass(frozen=True, kw_only=True)
class Kit:
    """Names in the kernel tree that is built.

    Attributes:
        kind: `full`, `quick` or `fake`.
        module: Source file of a module; `builtin`: of built-in code.
        options: Option and module of what can be switched on, each once.
        moves: Modules of modules.list that nothing depends on, each to be moved once.
        firmware: Files that firmware.list lacks and the firmware source has, each to be added once.
        part: Folders of the kernel, as targets of make, that are compiled with and without the compiler cache.
        base_config: For a small kernel: what is set over tinyconfig.
    """

    kind: str
    module: str
    builtin: str
    options: tuple[tuple[str, str], ...]
    moves: tuple[str, ...]
    firmware: tuple[str, ...]
    part: tuple[str, ...]
    base_config: str = ""


_OPTIONS = tuple(
    (f"CONFIG_{name}_FS", f"kernel/fs/{folder}/{folder}.ko")
    for name, folder in (("MINIX", "minix"), ("BFS", "bfs"), ("QNX4FS", "qnx4"), ("EFS", "efs"), ("ADFS", "adfs"))
)
_FIRMWARE = tuple(
    f"rtl_bt/{name}_fw.bin" for name in ("rtl8723b", "rtl8761a", "rtl8821a", "rtl8822b", "rtl8723a", "rtl8192ee")
)

FULL = Kit(
    kind="full",
    module="drivers/net/dummy.c",
    builtin="init/main.c",
    options=_OPTIONS,
    moves=(
        "kernel/drivers/net/dummy.ko",
        "kernel/drivers/net/geneve.ko",
        "kernel/drivers/net/veth.ko",
        "kernel/drivers/net/bonding/bonding.ko",
        "kernel/drivers/net/wireguard/wireguard.ko",
    ),
    firmware=_FIRMWARE,
    part=("net/core/",),
)

QUICK = Kit(
    kind="quick",
    module=FULL.module,
    builtin=FULL.builtin,
    options=_OPTIONS,
    moves=("kernel/drivers/net/dummy.ko", "kernel/drivers/net/veth.ko", "kernel/fs/isofs/isofs.ko"),
    firmware=_FIRMWARE,
    part=("net/core/",),
    base_config="\n".join(
        (
            *(
                f"CONFIG_{name}=y"
                for name in (
                    *("64BIT", "MODULES", "MODULE_UNLOAD", "PRINTK", "BLOCK", "MISC_FILESYSTEMS", "NET", "INET"),
                    *("NETDEVICES", "NET_CORE", "TTY", "BINFMT_ELF", "BLK_DEV", "PROC_FS", "SYSFS", "KERNEL_GZIP"),
                )
            ),
            *(f"CONFIG_{name}=m" for name in ("DUMMY", "VETH", "ISO9660_FS", "BLK_DEV_LOOP", "SQUASHFS")),
            "",
        )
    ),
)

FAKE = Kit(
    kind="fake",
    module="drivers/net/dummy.c",
    builtin="init/main.c",
    options=(
        ("CONFIG_SND", "kernel/sound/core/snd.ko"),
        ("CONFIG_SND_TIMER", "kernel/sound/core/snd-timer.ko"),
    ),
    moves=("kernel/drivers/net/fakenic.ko", "kernel/drivers/net/dummy.ko"),
    firmware=("fakenic/nic-2.bin", "fakenic/nic-3.bin"),
    part=("modules",),
    base_config="".join(
        f"CONFIG_{option}\n"
        for option in (
            *("MODULES=y", "BLOCK=y", "NET=y", "INET=y"),
            *("EXT4_FS=m", "DUMMY=m", "VXLAN=m", "FAKENIC=m"),
        )
    ),
)

KITS = {kit.kind: kit for kit in (FULL, QUICK, FAKE)}


@dataclass(frozen=True, kw_only=True)
class LineEdit:
    """A line at the end of a source file whose value is changed again and again.

    Attributes:
        path: The file in the kernel tree.
        original: Its text without the line.
    """

    path: str
    original: str

    def text(self, value: str) -> str:
        """The file as it is with a value: what the patch makes of it."""
        line = f'static const char rosk_benchmark[] __attribute__((used)) = "{value}";'
        return f"{self.original.rstrip()}\n\n{line}\n"

    def patch(self, value: str) -> str:
        """The patch that gives it that value, for `patch -p1`."""
        lines = difflib.unified_diff(
            self.original.splitlines(keepends=True),
            self.text(value).splitlines(keepends=True),
            f"a/{self.path}",
            f"b/{self.path}",
        )
        return "".join(lines)


def new_file_patch(path: str, text: str) -> str:
    """A patch that makes a file of one line."""
    return f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{text}\n"


def different_options(one: str, other: str) -> str:
    """The options in whose lines two .configs differ, a few by name; comments and order do not count."""
    values = config_values(one, "config").items() ^ config_values(other, "config").items()
    names = sorted({f"CONFIG_{name}" for name, _ in values})
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
