"""What the headers package takes of a source, and what of it is picked anew after a change."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from builder.stages import headerstree, journal
from builder.stages.journal import Changes
from tests.unit.stages.faketree import run_stage

FILES = (
    *("Makefile", "Kbuild", "Kconfig", "include/linux/a.h", "include/.gitignore", "include/x.o", "net/a.h"),
    *("scripts/mod/modpost.c", "scripts/mod/mk_elfconfig", "scripts/dtc/dtc.c", "scripts/dtcx", "tools/include/b.h"),
    *("arch/Kconfig", "arch/x86/Makefile_32.cpu", "arch/x86/kernel/a.c", "arch/x86/kernel/module.lds.S"),
    *("arch/x86/include/asm/a.h", "arch/x86/um/include/deep/b.h", "arch/x86/scripts/a.sh", "arch/x86/scripts/k.pem"),
    *("arch/arm64/include/asm/a.h", "arch/arm64/Kbuild.platforms", "include/linux/sub/c.h"),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def text(tree: Path) -> str:
    return journal.dump(journal.read_tree(tree))


def members(archive: Path) -> dict[str, str | None]:
    """The names in an archive; of links, where they lead."""
    with tarfile.open(archive, "r:") as tar:
        return {member.name: member.linkname or None for member in tar}


def test_what_is_picked(tree: Path, tmp_path: Path) -> None:
    journal.write(tmp_path / "journal", text(tree))
    done = run_stage("headerstree", "--tree", tree, "--journal", tmp_path / "journal", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {archive.stem: set(members(archive)) for archive in (tmp_path / "out").glob("*.tar")}
    assert found == {
        "common": {
            *("Makefile", "Kbuild", "Kconfig", "include/linux/a.h", "include/linux/sub/c.h"),
            *("scripts/mod/modpost.c", "scripts/dtcx"),
        },
        "x86": {
            *("arch/x86/Makefile_32.cpu", "arch/x86/kernel/module.lds.S", "arch/x86/include/asm/a.h"),
            *("arch/x86/um/include/deep/b.h", "arch/x86/scripts/a.sh"),
        },
        "arm64": {"arch/arm64/include/asm/a.h", "arch/arm64/Kbuild.platforms"},
    }


def link(tree: Path, name: str, target: str) -> None:
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).symlink_to(target)


def test_links(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("outside")
    for name, target in {
        **{"include/inside.h": "linux/a.h", "include/folder": "linux/sub", "include/gone": "x", "include/self": "self"},
        **{"include/out": "../net", "include/out.h": "../net/a.h", "scripts/dtc2": "dtc"},
        **{"include/absolute": str(tmp_path / "outside"), "include/far": "../net/link", "net/link": "a.h"},
        "arch/x86/include/other.h": "../../arm64/include/asm/a.h",
        "arch/x86/include/linux": "../../../include/linux",
    }.items():
        link(tree, name, target)
    headerstree.pick(tree, text(tree), tmp_path / "out")
    common, x86 = members(tmp_path / "out/common.tar"), members(tmp_path / "out/x86.tar")
    assert (common["include/inside.h"], common["include/folder"]) == ("linux/a.h", "linux/sub")
    content = {"include/out/a.h", "include/out.h", "include/absolute", "scripts/dtc2/dtc.c", "include/far"}
    assert {name for name in content if common[name] is None} == content
    assert "include/gone" not in common
    assert common["include/self"] == "self"  # the headers stage drops it
    assert (x86["arch/x86/include/other.h"], x86["arch/x86/include/linux"]) == (None, "../../../include/linux")


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("net/a.c", set()),
        ("include/linux/new.h", {"common"}),
        ("scripts/kconfig/conf.c", set()),
        ("arch/arm64/include/asm/a.h", {"arm64"}),
        ("arch/x86/kernel/a.c", set()),
    ],
)
def test_what_is_picked_anew(tree: Path, tmp_path: Path, path: str, parts: set[str]) -> None:
    link(tree, "include/inside.h", "linux/a.h")
    headerstree.pick(tree, text(tree), tmp_path / "out")
    for changes in (Changes(changed=frozenset({path})), Changes(added=frozenset({path}))):
        assert headerstree.concerned(changes, tmp_path / "out") == parts


@pytest.mark.parametrize("way", ["../net/a.h", "../net/link", "../net/sub/x.h", "../lib/up/a.h", "../absent/a.h"])
def test_what_a_link_leads_to_is_never_stale(tree: Path, tmp_path: Path, way: str) -> None:
    """By any way: through another link, a folder that is one, or one that appears."""
    link(tree, "net/link", "a.h")
    link(tree, "net/sub", "deep")
    link(tree, "lib/up", "../net")
    (tree / "net/deep").mkdir()
    (tree / "net/deep/x.h").write_text("x")
    link(tree, "include/out.h", way)
    headerstree.pick(tree, text(tree), tmp_path / "out")
    before = text(tree)
    for path in ("net/a.h", "net/deep/x.h"):
        (tree / path).write_text("changed")
    link(tree, "absent", "net")
    changes = journal.compare(before, text(tree))
    headerstree.pick(tree, text(tree), tmp_path / "out", headerstree.concerned(changes, tmp_path / "out"))
    with tarfile.open(tmp_path / "out/common.tar") as tar:
        content = tar.extractfile("include/out.h")
        assert content is not None and content.read() == b"changed"
    headerstree.pick(tree, text(tree), tmp_path / "new")
    assert (tmp_path / "out/common.tar").read_bytes() == (tmp_path / "new/common.tar").read_bytes()


def test_no_changes_pick_nothing_anew(tree: Path, tmp_path: Path) -> None:
    link(tree, "include/out.h", "../net/a.h")
    headerstree.pick(tree, text(tree), tmp_path / "out")
    assert headerstree.concerned(Changes(), tmp_path / "out") == set()
    assert headerstree.concerned(Changes(changed=frozenset({"x"})), tmp_path / "out") == {"common"}


def test_a_part_that_is_picked_anew_is_as_from_nothing(tree: Path, tmp_path: Path) -> None:
    headerstree.pick(tree, text(tree), tmp_path / "out")
    before = text(tree)
    (tree / "include/linux/new.h").symlink_to("../../net/a.h")
    (tree / "arch/x86/include/asm/a.h").unlink()
    (tree / "arch/arm64/include/asm/a.h").touch()
    parts = headerstree.concerned(journal.compare(before, text(tree)), tmp_path / "out")
    assert parts == {"common", "x86"}
    headerstree.pick(tree, text(tree), tmp_path / "out", parts)
    headerstree.pick(tree, text(tree), tmp_path / "new")
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "new" / name).read_bytes(), name
