from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder.stages import journal, kconfigtree
from builder.stages.journal import Changes
from tests.unit.stages import faketree

FILES = {
    "Kconfig": 'source "net/Kconfig"\nsource "drivers/*/Config.in"\nosource "arch/$(SRCARCH)/extra.conf"\n',
    "Makefile": "all:\n",
    "localversion-rt": "-rt1\n",
    "net/Kconfig": 'config A\n\tdef_bool $(success,test -e $(srctree)/net/probe.c)\nrsource "more"\n',
    "net/Makefile": "obj-y += core.o\n",
    "net/probe.c": "int probe;\n",
    "net/core.c": "int core;\n",
    "drivers/usb/Config.in": "config B\n\tdef_bool $(shell,$(srctree)/drivers/usb/tools/check.sh)\n",
    "drivers/usb/tools/check.sh": "echo y\n",
    "arch/x86/extra.conf": "config C\n\tbool\n",
    "scripts/kconfig/conf.c": "int main;\n",
    "kernel/module/signing.c": "int verify;\n",
    "crypto/asymmetric_keys/x509_cert_parser.c": "int parse;\n",
    "Documentation/readme.rst": "text\n",
}


def pick(tree: Path, out: Path) -> set[str]:
    """Have what is picked of a tree in a folder, and return the paths."""
    out.mkdir()
    kconfig, written = out.parent / f"{out.name}.kconfig", out.parent / "journal"
    journal.write(written, journal.dump(journal.read_tree(tree)))
    done = faketree.run_stage("kconfigtree", "--tree", tree, "--journal", written, "--out", kconfig)
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run(["tar", "-xf", kconfig / "files.tar", "-C", out], check=True)
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_symlink() or path.is_file()}


def test_what_kconfig_reads_is_picked(tmp_path: Path) -> None:
    for name, text in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "tree/scripts/link").symlink_to("kconfig")
    found = pick(tmp_path / "tree", tmp_path / "out")
    assert found == {*FILES, "scripts/link"} - {"net/core.c", "Documentation/readme.rst"}


def test_the_config_is_the_same_as_from_the_whole_tree(tmp_path: Path) -> None:
    pick(faketree.TREE, tmp_path / "picked")
    for tree, name in ((faketree.TREE, "whole"), (tmp_path / "picked", "part")):
        done = faketree.configure(tree, tmp_path / name)
        assert done.returncode == 0, done.stdout
    for path in sorted((tmp_path / "whole").iterdir()):
        assert path.read_bytes() == (tmp_path / "part" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("changes", "concerned"),
    [
        (Changes(changed=frozenset({"net/core.c"})), False),
        (Changes(changed=frozenset({"net/core.c", "net/probe.c"})), True),
        (Changes(changed=frozenset({"scripts/kconfig/conf.c"})), True),
        (Changes(added=frozenset({"net/new.c"})), True),
        (Changes(removed=frozenset({"net/core.c"})), True),
    ],
)
def test_what_is_picked_anew(tmp_path: Path, changes: Changes, concerned: bool) -> None:
    for name, text in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    kconfigtree.pick(tmp_path / "tree", journal.dump(journal.read_tree(tmp_path / "tree")), tmp_path / "kconfig")
    assert kconfigtree.concerns(changes, tmp_path / "kconfig") is concerned


def test_equal_files_are_equal_bytes(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Kconfig").write_text("config A\n")
        (tmp_path / name / "Kconfig").chmod(0o600 if name == "one" else 0o644)
        (tmp_path / name / "Makefile").hardlink_to(tmp_path / name / "Kconfig")
        kconfigtree.pick(tmp_path / name, journal.dump(journal.read_tree(tmp_path / name)), tmp_path / f"{name}.out")
        found.append((tmp_path / f"{name}.out/files.tar").read_bytes())
    assert found[0] == found[1]
    assert found[0].count(b"config A") == 2
