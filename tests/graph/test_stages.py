"""Which stages an edit runs again: exactly those that depend on it, and no others."""

from __future__ import annotations

import re
import secrets
import tarfile
from pathlib import Path

import pytest

from builder import context, graph
from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from builder.project import Project
from builder.stagenames import STAGES
from tests import contract
from tests.graph.conftest import FakeProject, make_fake

pytestmark = pytest.mark.engine

EVERYTHING = set(STAGES)
SPLIT_AND_AFTER = {"split", "kernel-package", "extras-package", "os-extras", "os-kernel", "release"}
COMPILE_AND_AFTER = SPLIT_AND_AFTER | {"compile", "headers", "headers-package", "os-headers"}


@pytest.fixture(scope="module")
def org() -> str:
    return secrets.token_hex(4)


@pytest.fixture
def known(base: BaseImage, tmp_path: Path, org: str) -> FakeProject:
    """A project that was built before as it is now, from the second test on that has one."""
    return make_fake(base, tmp_path, org)


def test_a_build_satisfies_the_contract(fake: FakeProject) -> None:
    built = fake.build()
    release = contract.find_release(fake.root / "dist")
    assert release.v == fake.release
    contract.check_release(release)
    assert built.result.ran >= {"configured", "compile", "split", "headers", *graph.IMAGES}
    assert {notice.kind for notice in built.notices} == {"softdep-in-extra", "firmware-missing"}
    assert (fake.root / "dist/kernel/modules-main.list").read_text().splitlines() == [
        "kernel/drivers/net/fakenic.ko",
        "kernel/fs/ext4/ext4.ko",
        "kernel/fs/jbd2/jbd2.ko",
        "kernel/fs/mbcache.ko",
    ]


def test_nothing_changed(known: FakeProject) -> None:
    first = known.build().manifest
    again = known.build()
    assert again.result.ran == set()
    assert again.manifest == first


def test_a_list_edit_never_compiles(known: FakeProject) -> None:
    known.build()
    known.edit("lists/x86/modules-extra.list", lambda text: text.replace("kernel/drivers/net/dummy.ko\n", ""))
    known.edit("lists/x86/modules.list", lambda text: text + "kernel/drivers/net/dummy.ko\n")
    built = known.build()
    assert built.result.ran == SPLIT_AND_AFTER
    assert "kernel/drivers/net/dummy.ko" in (known.root / "dist/kernel/modules-main.list").read_text()
    contract.check_release(contract.find_release(known.root / "dist"))


def test_a_comment_in_a_list_repacks_nothing(known: FakeProject) -> None:
    known.build()
    known.edit("lists/x86/modules.list", lambda text: "# one more comment\n" + text)
    assert known.build().result.ran == {"split"}


def test_a_headers_edit_never_splits(known: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    known.build()
    edit_program(monkeypatch, "stages/headers.py")
    assert known.build().result.ran == {"headers", "headers-package"}


@pytest.mark.parametrize(("script", "image"), [("extra.sh", "os-extras"), ("headers.sh", "os-headers")])
def test_an_image_script_changes_its_image_only(
    known: FakeProject, monkeypatch: pytest.MonkeyPatch, script: str, image: str
) -> None:
    before = known.build().manifest
    edit_program(monkeypatch, f"images/{script}")
    built = known.build()
    assert built.result.ran == {image}
    changed = {tag for tag, digest in built.manifest["images"].items() if digest != before["images"][tag]}
    assert [tag.partition(":")[0].rpartition("/")[2] for tag in changed] == [image]


def test_a_firmware_edit_packs_only(known: FakeProject) -> None:
    known.build()
    known.write("firmware/fakenic/nic-2.bin", f"{known.release} {known.root.name}")
    known.edit("firmware/WHENCE", lambda text: text + "File: fakenic/nic-2.bin\n")
    known.edit("lists/x86/firmware.list", lambda text: text + "fakenic/nic-2.bin\n")
    ran = known.build().result.ran
    assert ran == {"firmware", "kernel-package", "os-kernel", "release"}


def test_a_comment_in_the_config_compiles_nothing(known: FakeProject) -> None:
    known.build()
    known.edit("config/x86/kernel-config", lambda text: "# one more comment\n" + text)
    assert "compile" not in known.build().result.ran


def test_an_option_compiles(known: FakeProject) -> None:
    known.build()
    known.edit("config/x86/kernel-config", lambda text: text.replace("CONFIG_DUMMY=m\n", "CONFIG_DUMMY=y\n"))
    built = known.build()
    assert built.result.ran >= {"configured", "compile", "split"}
    assert not built.result.ran & {"tools", "toolchain", "source", "patched", "source-package"}
    assert [notice.where for notice in built.notices if notice.kind == "module-not-built"] == [
        "lists/x86/modules-extra.list:2"
    ]


def patch(fake: FakeProject, path: str, word: str) -> None:
    """Have one patch, which puts a comment in a file, another one in each test."""
    one, two, *_ = (fake.root / "linux" / path).read_text().splitlines()
    hunk = f"@@ -1,2 +1,3 @@\n {one}\n+/* {fake.release} {fake.root.name} {word} */\n {two}\n"
    fake.write("patches/x86/0001-hello.patch", f"--- a/{path}\n+++ b/{path}\n{hunk}")


def packed_source(fake: FakeProject, path: str) -> str:
    """A file of the source package."""
    (package,) = (fake.root / "dist/kernel").glob("*-src.tgz")
    with tarfile.open(package) as tar:
        content = tar.extractfile(f"linux-{fake.release}/{path}")
        assert content is not None
        return content.read().decode()


def test_a_patch_runs_all_but_the_source(known: FakeProject) -> None:
    known.build()
    patch(known, "drivers/net/dummy.c", "hello")
    ran = known.build().result.ran
    assert ran >= {"patched", "source-package", "compile"}
    assert not ran & {"tools", "toolchain", "source", "firmware"}


def test_a_patch_has_make_look_into_the_folders_that_it_changes(known: FakeProject) -> None:
    log = known.root / "dist/build.log"
    patch(known, "drivers/net/dummy.c", "before")
    known.build()
    patch(known, "drivers/net/dummy.c", "after")
    known.build()
    text = log.read_text()
    assert "of the folders make looks into drivers drivers/net alone\n" in text
    assert "LD      vmlinux" not in text
    assert re.findall(r"^  CC .*", text, re.M) == ["  CC [M]  drivers/net/dummy.o", "  CC [M]  drivers/net/dummy.mod.o"]


def test_of_a_patched_source_only_what_is_new_leaves_the_build(
    fake: FakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the package cannot be put together of that, all of it does."""
    path, log = "drivers/net/dummy.c", fake.root / "dist/build.log"
    fake.build()
    assert "[whole-source] " in log.read_text()
    for word in ("one", "other"):
        patch(fake, path, word)
        fake.build()
        assert "[changed-source] " in log.read_text() and "[whole-source] " not in log.read_text()
        assert f"{fake.release} {fake.root.name} {word} */" in packed_source(fake, path)
    monkeypatch.setattr("builder.joint.put_together", lambda *_: None)
    patch(fake, path, "third")
    fake.build()
    assert "[changed-source] " in log.read_text() and "[whole-source] " in log.read_text()
    assert f"{fake.root.name} third */" in packed_source(fake, path)


def test_what_the_client_writes_for_itself_is_removed(
    known: FakeProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    patch(known, "drivers/net/dummy.c", secrets.token_hex(4))
    known.build()
    assert not list(folder.iterdir())


def test_a_lost_cache_of_the_packages_changes_nothing(fake: FakeProject) -> None:
    scope = f"lost{secrets.token_hex(4)}"
    manifests = []
    for word in ("one", "other", "one"):
        patch(fake, "drivers/net/dummy.c", word)
        manifests.append(fake.build(scope).manifest)
        Docker().drop_cache_mounts(scope)
    assert manifests[0] == manifests[2] != manifests[1]


def test_a_patch_of_what_no_module_build_reads_leaves_the_headers_alone(known: FakeProject) -> None:
    known.build()
    patch(known, "drivers/net/dummy.c", "module")
    assert not known.build().result.ran & {"headers", "headers-package", "os-headers"}
    patch(known, "include/linux/module.h", "header")
    assert known.build().result.ran >= {"headers", "headers-package", "os-headers"}


def edit_program(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Make the next builds see rosk's own program `name` with one more comment at its end."""
    write_context = context.write_context

    def edited(project: Project, folder: Path) -> None:
        write_context(project, folder)
        with (folder / name).open("a") as file:
            file.write("# one more comment\n")

    monkeypatch.setattr("builder.solver.write_context", edited)
