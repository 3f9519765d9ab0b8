from __future__ import annotations

import subprocess
from pathlib import Path

from builder.stages import journal
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
    "Documentation/readme.rst": "text\n",
}


def pick(tree: Path, out: Path) -> set[str]:
    """Have what is picked of a tree in a folder, and return the paths."""
    out.mkdir()
    archive, written = out.parent / "kconfig.tar", out.parent / "journal"
    journal.write(written, journal.dump(journal.read_tree(tree)))
    done = faketree.run_stage("kconfigtree", "--tree", tree, "--journal", written, "--out", archive)
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run(["tar", "-xf", archive, "-C", out], check=True)
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
