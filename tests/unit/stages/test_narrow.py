"""Which folders make looks into when sources have changed, and that what comes out is what it makes of them all."""

from __future__ import annotations

import os
import re
import shutil
import time
from fnmatch import fnmatch
from pathlib import Path

import pytest

from builder.stages import compile as compiling
from builder.stages.common import put_program
from builder.stages.narrow import Part
from builder.stages.objtree import ObjectTree
from builder.stages.runmake import Make
from tests.unit.stages import faketree

SND = "sound/core/snd.c"
RECORDER = '#!/bin/sh\necho "$*" >>{log}\nexec {make} "$@"\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return Path(shutil.copytree(faketree.TREE, tmp_path / "tree", symlinks=True))


@pytest.fixture
def work(tmp_path: Path, compiled: Path, tree: Path) -> Path:
    """A folder with the object tree of a build that came to its end; `makes` has each make that is run from now on."""
    shutil.copytree(compiled / "configured", tmp_path / "work/configured")
    again(tree, tmp_path / "work")
    (tmp_path / "work/makes").unlink(missing_ok=True)
    return tmp_path / "work"


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A make that writes down how it was called."""
    put_program(tmp_path / "bin/make", RECORDER.format(log=tmp_path / "work/makes", make=shutil.which("make")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")


def again(tree: Path, work: Path, *, code: int = 0) -> list[str]:
    """Compile; returns the log."""
    shutil.rmtree(work / "out", ignore_errors=True)
    done = faketree.run_stage("compile", *faketree.compile_arguments(tree, work))
    assert done.returncode == code, done.stdout
    return (work / "out/log/compile.log").read_text().splitlines() if code == 0 else []


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def looked_into(work: Path) -> list[str]:
    """The folders that kbuild has looked into, in order of their names."""
    found = re.findall(r"scripts/Makefile\.build obj=(\S+)", (work / "makes").read_text())
    return sorted(set(found))


def products(work: Path) -> dict[str, bytes]:
    return {str(path.relative_to(work)): path.read_bytes() for path in (work / "out").rglob("*.ko")} | {
        path.name: path.read_bytes() for path in (work / "out/boot").iterdir()
    }


def from_nothing(tree: Path, work: Path) -> dict[str, bytes]:
    shutil.rmtree(work / "obj")
    again(tree, work)
    return products(work)


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize(
    ("path", "old", "new", "folders"),
    [
        (SND, '"snd"', '"sn2"', ["sound", "sound/core"]),
        ("kernel/printk.c", "{", "{ /* another */", ["kernel"]),
        ("drivers/net/vxlan/vxlan_core.c", "{", "{ /* another */", ["drivers", "drivers/net", "drivers/net/vxlan"]),
    ],
)
def test_make_looks_into_the_folders_of_what_has_changed(
    tree: Path, work: Path, path: str, old: str, new: str, folders: list[str]
) -> None:
    change(tree / path, old, new)
    log = again(tree, work)
    assert f"of the folders make looks into {' '.join(folders)} alone" in log
    assert looked_into(work) == folders
    assert any(path.replace(".c", ".o") in line for line in log if line.startswith("  CC"))
    assert products(work) == from_nothing(tree, work)


def test_the_kernel_is_linked_when_something_of_it_has_changed(tree: Path, work: Path) -> None:
    """It is not for make's having run in another way than before, back and forth."""
    for path, new in ((SND, '"sn2"'), ("sound/core/Makefile", "# another\nobj-"), (SND, '"sn3"')):
        text = (tree / path).read_text()
        (tree / path).write_text(re.sub(r'"sn."|^obj-', new, text, count=1, flags=re.M))
        assert not any("LD      vmlinux" in line for line in again(tree, work))
    change(tree / "kernel/printk.c", "{", "{ /* another */")
    assert any("LD      vmlinux" in line for line in again(tree, work))


@pytest.mark.usefixtures("recorder")
def test_make_looks_into_none_where_nothing_has_changed(tree: Path, work: Path) -> None:
    before = products(work)
    assert "of the folders make looks into none alone" in again(tree, work)
    assert looked_into(work) == []
    assert products(work) == before


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("include/linux/limits.h", "LIMIT 7", "LIMIT 9"),
        ("lib/gen_crc32table.c", "{", "{ /* another */"),
        ("scripts/mod/modpost.c", "{", "{ /* another */"),
        ("sound/core/Makefile", "obj-", "# another\nobj-"),
    ],
)
def test_make_looks_everywhere_for_what_may_be_anywhere(tree: Path, work: Path, path: str, old: str, new: str) -> None:
    change(tree / path, old, new)
    log = again(tree, work)
    assert not any("alone" in line for line in log)
    assert products(work) == from_nothing(tree, work)


def test_make_looks_everywhere_after_one_that_failed(tree: Path, work: Path) -> None:
    change(tree / "kernel/printk.c", "{", "{ int absent = undeclared;")
    again(tree, work, code=1)
    change(tree / "kernel/printk.c", "{ int absent = undeclared;", "{")
    change(tree / SND, '"snd"', '"sn2"')
    assert not any("alone" in line for line in again(tree, work))


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize(
    ("options", "folders"),
    [
        ({"SND_TIMER": "n"}, ["kernel", "scripts/*", "sound", "sound/core"]),
        (
            {"VXLAN": "n", "NET_UDP_TUNNEL": "n"},
            ["drivers", "drivers/net", "drivers/net/vxlan/*", "kernel", "net", "net/ipv4", "scripts/*"],
        ),
        ({"EXT4_FS_POSIX_ACL": "y"}, ["fs", "fs/ext4", "kernel", "scripts/*"]),
        ({"DUMMY": "m", "FAKENIC": "n"}, ["drivers", "drivers/net", "kernel", "scripts/*"]),
    ],
)
def test_make_looks_into_the_folders_of_options_that_have_changed(
    tree: Path, work: Path, options: dict[str, str], folders: list[str]
) -> None:
    """There and back: the second time the folder of an option that was off is new."""
    file = work / "configured/config"
    before = file.read_text()
    for config in (with_options(before, options), before):
        file.write_text(config)
        assert f"of the folders make looks into {' '.join(folders)} alone" in again(tree, work)
        patterns = [folder if folder.endswith("*") else f"{folder}/" for folder in folders]
        assert all(any(fnmatch(f"{found}/", pattern) for pattern in patterns) for found in looked_into(work))
        found = products(work)
        shutil.copytree(work, work.with_name("other"))
        assert found == from_nothing(tree, work.with_name("other"))
        shutil.rmtree(work.with_name("other"))


def test_make_looks_everywhere_for_a_config_that_is_not_as_kconfig_writes_it(tree: Path, work: Path) -> None:
    """What VXLAN alone needs goes with it."""
    file = work / "configured/config"
    file.write_text(with_options(file.read_text(), {"VXLAN": "n"}))
    assert "make looks into all folders: it has not made all that it should have" in again(tree, work)
    assert not list((work / "out").rglob("udp_tunnel.ko"))
    assert products(work) == from_nothing(tree, work)


def with_options(config: str, options: dict[str, str]) -> str:
    """A config with options set to another value."""
    for option, value in options.items():
        line = f"# CONFIG_{option} is not set" if value == "n" else f"CONFIG_{option}={value}"
        config, count = re.subn(rf"^(?:CONFIG_{option}=.*|# CONFIG_{option} is not set)$", line, config, flags=re.M)
        assert count == 1
    return config


def test_make_looks_into_the_folders_of_sources_and_options(tree: Path, work: Path) -> None:
    file = work / "configured/config"
    file.write_text(with_options(file.read_text(), {"SND_TIMER": "n"}))
    change(tree / "kernel/printk.c", "{", "{ /* another */")
    log = again(tree, work)
    assert "of the folders make looks into kernel scripts/* sound sound/core alone" in log
    assert not list((work / "out").rglob("snd-timer.ko"))
    assert products(work) == from_nothing(tree, work)


@pytest.mark.parametrize("option", ["SMP", "XEN", "NET"])
def test_make_looks_everywhere_for_options_of_all(tree: Path, work: Path, option: str) -> None:
    """SMP is in a header that others include, XEN and NET are in the top Makefiles."""
    file = work / "configured/config"
    before = file.read_text()
    value = "n" if f"CONFIG_{option}=y" in before else "y"
    file.write_text(with_options(before, {option: value}))
    log = again(tree, work)
    assert not any("alone" in line for line in log) or any("make looks into all folders" in line for line in log)
    assert products(work) == from_nothing(tree, work)


def test_what_was_not_made_is_made_by_looking_everywhere(tree: Path, work: Path) -> None:
    log = work / "log/narrow.log"
    make = Make(log, dict(os.environ), 1)
    kept = ObjectTree(folder=work / "obj", tree=tree, srcarch="x86", recipe={})
    kept.config = (work / "obj/.config").read_text()
    kept.part = Part(frozenset({"sound/core/snd.o"}), time.time_ns())
    words = ["make", "-C", str(tree), f"O={work / 'obj'}", "ARCH=x86_64", "bzImage", "modules"]
    compiling.make_all(words, make, kept)
    commands = [line.split() for line in log.read_text().splitlines() if line.startswith("$ ")]
    assert [line[1:] for line in commands] == [[*words, "MAKE=make"], words]
    assert "make looks into all folders: it has not made all that it should have" in log.read_text()
