"""The fake kernel tree (tests/faketree), configured and compiled by the real stage programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from builder.stages import headers, headerstree, journal

TREE = Path(__file__).parents[2] / "faketree"
VERSION = "6.12.99"
RELEASE = f"{VERSION}-rosk"
EPOCH = 1_700_000_000
CONFIG = """\
CONFIG_MODULES=y
CONFIG_NET=y
CONFIG_INET=y
CONFIG_UNWINDER_ORC=y
CONFIG_EXT4_FS=m
CONFIG_VXLAN=m
CONFIG_FAKENIC=m
CONFIG_SND=m
CONFIG_SND_TIMER=m
"""
MODULES = (
    "kernel/crypto/crc32c_generic.ko",
    "kernel/drivers/net/fakenic.ko",
    "kernel/drivers/net/vxlan/vxlan.ko",
    "kernel/fs/ext4/ext4.ko",
    "kernel/fs/jbd2/jbd2.ko",
    "kernel/fs/mbcache.ko",
    "kernel/net/ipv4/udp_tunnel.ko",
    "kernel/sound/core/snd-timer.ko",
    "kernel/sound/core/snd.ko",
)


def stage(name: str, *arguments: str | Path) -> list[str]:
    """The command that runs a stage program as a build does."""
    return [sys.executable, "-m", f"builder.stages.{name}", *map(str, arguments)]


def stage_environment() -> dict[str, str]:
    """The environment for `stage`."""
    return {**os.environ, "PYTHONPATH": str(TREE.parents[1])}


def run_stage(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a stage program to its end."""
    return subprocess.run(stage(name, *arguments), env=stage_environment(), capture_output=True, text=True)


def write_inputs(folder: Path, config: str, fragments: Mapping[str, str]) -> list[str | Path]:
    """Write a config and its fragments; returns the configure stage's arguments for them."""
    (folder / "fragments").mkdir(parents=True, exist_ok=True)
    (folder / "kernel-config").write_text(config)
    for name, text in fragments.items():
        (folder / "fragments" / name).write_text(text)
    return ["--config", folder / "kernel-config", "--fragments", folder / "fragments"]


def begin(tree: Path, folder: Path, *tools: str) -> list[str | Path]:
    """Run the stage that configuring begins with; returns the arguments that tell what it has made."""
    made: list[str | Path] = ["--obj", folder / "obj", "--defaults", folder / "defaults.json"]
    done = run_stage("kconfigdefaults", "--tree", tree, *made[:2], "--out", made[3], "--arch", "x86_64", *tools)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return made


def configure(tree: Path, out: Path, *options: str, config: str = CONFIG) -> subprocess.CompletedProcess[str]:
    """Run the configure stage on a tree, for `RELEASE`."""
    inputs = [*write_inputs(out.parent / f"{out.name}.in", config, {}), *begin(tree, out.parent / f"{out.name}.base")]
    own: list[str | Path] = ["--localversion=-rosk", "--release", RELEASE, "--arch", "x86_64", "--out", out]
    return run_stage("configure", "--tree", tree, *inputs, *own, *options)


def compile_arguments(tree: Path, work: Path) -> list[str | Path]:
    """The compile stage's arguments, with everything in subfolders of `work`, and the journal of the tree."""
    journal.write(work / "journal", journal.dump(journal.read_tree(tree)))
    folders: list[str | Path] = [
        "--tree",
        tree,
        "--journal",
        work / "journal",
        "--configured",
        work / "configured",
        "--obj",
        work / "obj",
        "--out",
        work / "out",
    ]
    image = ["--arch", "x86_64", "--image", "bzImage", "--image-path", "arch/x86/boot/bzImage"]
    return [*folders, *image, "--epoch", str(EPOCH), "--log", work / "log", "--toolchain", "/dev/null"]


def headers_of(tree: Path, obj: Path, out: Path) -> Path:
    """Make the headers tree `out` of a source tree and its object tree; returns it."""
    picked = out.with_name(f"{out.name}.picked")
    headerstree.pick(tree, journal.dump(journal.read_tree(tree)), picked)
    headers.make_headers([picked / "common.tar", picked / "x86.tar"], obj, "x86", RELEASE, out)
    return out
