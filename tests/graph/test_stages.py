"""Which stages an edit runs again: exactly those that depend on it, and no others."""

from __future__ import annotations

import re
import secrets
import tarfile
from pathlib import Path

import pytest

from builder import context, graph
from builder.engine.docker import Docker
from builder.project import Project
from builder.stagenames import STAGES
from tests import contract
from tests.graph.conftest import FakeProject

pytestmark = pytest.mark.engine

EVERYTHING = set(STAGES)
SPLIT_AND_AFTER = {"split", "kernel-package", "extras-package", "os-extras", "os-kernel", "release"}
COMPILE_AND_AFTER = SPLIT_AND_AFTER | {"compile", "headers", "headers-package", "os-headers"}


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


def test_nothing_changed(fake: FakeProject) -> None:
    first = fake.build().manifest
    again = fake.build()
    assert again.result.ran == set()
    assert again.manifest == first


def test_a_list_edit_never_compiles(fake: FakeProject) -> None:
    fake.build()
    fake.edit("lists/x86/modules-extra.list", lambda text: text.replace("kernel/drivers/net/dummy.ko\n", ""))
    fake.edit("lists/x86/modules.list", lambda text: text + "kernel/drivers/net/dummy.ko\n")
    built = fake.build()
    assert built.result.ran == SPLIT_AND_AFTER
    assert "kernel/drivers/net/dummy.ko" in (fake.root / "dist/kernel/modules-main.list").read_text()
    contract.check_release(contract.find_release(fake.root / "dist"))


def test_a_comment_in_a_list_repacks_nothing(fake: FakeProject) -> None:
    fake.build()
    fake.edit("lists/x86/modules.list", lambda text: "# one more comment\n" + text)
    assert fake.build().result.ran == {"split"}


def test_a_headers_edit_never_splits(fake: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.build()
    edit_program(monkeypatch, "stages/headers.py")
    assert fake.build().result.ran == {"headers", "headers-package"}


@pytest.mark.parametrize(("script", "image"), [("extra.sh", "os-extras"), ("headers.sh", "os-headers")])
def test_an_image_script_changes_its_image_only(
    fake: FakeProject, monkeypatch: pytest.MonkeyPatch, script: str, image: str
) -> None:
    before = fake.build().manifest
    edit_program(monkeypatch, f"images/{script}")
    built = fake.build()
    assert built.result.ran == {image}
    changed = {tag for tag, digest in built.manifest["images"].items() if digest != before["images"][tag]}
    assert [tag.partition(":")[0].rpartition("/")[2] for tag in changed] == [image]


def test_a_firmware_edit_packs_only(fake: FakeProject) -> None:
    fake.build()
    fake.write("firmware/fakenic/nic-2.bin", fake.release)
    fake.edit("firmware/WHENCE", lambda text: text + "File: fakenic/nic-2.bin\n")
    fake.edit("lists/x86/firmware.list", lambda text: text + "fakenic/nic-2.bin\n")
    ran = fake.build().result.ran
    assert ran == {"firmware", "kernel-package", "os-kernel", "release"}


def test_a_comment_in_the_config_compiles_nothing(fake: FakeProject) -> None:
    fake.build()
    fake.edit("config/x86/kernel-config", lambda text: "# one more comment\n" + text)
    assert "compile" not in fake.build().result.ran


def test_an_option_compiles(fake: FakeProject) -> None:
    fake.build()
    fake.edit("config/x86/kernel-config", lambda text: text.replace("CONFIG_DUMMY=m\n", "CONFIG_DUMMY=y\n"))
    built = fake.build()
    assert built.result.ran >= {"configured", "compile", "split"}
    assert not built.result.ran & {"tools", "toolchain", "source", "patched", "source-package"}
    assert [notice.where for notice in built.notices if notice.kind == "module-not-built"] == [
        "lists/x86/modules-extra.list:2"
    ]


def patch(fake: FakeProject, path: str, word: str) -> None:
    """Have one patch, which puts a comment in a file."""
    one, two, *_ = (fake.root / "linux" / path).read_text().splitlines()
    hunk = f"@@ -1,2 +1,3 @@\n {one}\n+/* {fake.release} {word} */\n {two}\n"
    fake.write("patches/x86/0001-hello.patch", f"--- a/{path}\n+++ b/{path}\n{hunk}")


def packed_source(fake: FakeProject, path: str) -> str:
    """A file of the source package."""
    (package,) = (fake.root / "dist/kernel").glob("*-src.tgz")
    with tarfile.open(package) as tar:
        content = tar.extractfile(f"linux-{fake.release}/{path}")
        assert content is not None
        return content.read().decode()


def test_a_patch_runs_all_but_the_source(fake: FakeProject) -> None:
    fake.build()
    patch(fake, "drivers/net/dummy.c", "hello")
    ran = fake.build().result.ran
    assert ran >= {"patched", "source-package", "compile"}
    assert not ran & {"tools", "toolchain", "source", "firmware"}


def test_a_patch_has_make_look_into_the_folders_that_it_changes(fake: FakeProject) -> None:
    log = fake.root / "dist/build.log"
    patch(fake, "drivers/net/dummy.c", "before")
    fake.build()
    patch(fake, "drivers/net/dummy.c", "after")
    fake.build()
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
        assert f"{fake.release} {word} */" in packed_source(fake, path)
    monkeypatch.setattr("builder.joint.put_together", lambda *_: None)
    patch(fake, path, "third")
    fake.build()
    assert "[changed-source] " in log.read_text() and "[whole-source] " in log.read_text()
    assert f"{fake.release} third */" in packed_source(fake, path)


def test_what_the_client_writes_for_itself_is_removed(
    fake: FakeProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    patch(fake, "drivers/net/dummy.c", secrets.token_hex(4))
    fake.build()
    assert not list(folder.iterdir())


def test_a_lost_cache_of_the_packages_changes_nothing(fake: FakeProject) -> None:
    scope = f"lost{secrets.token_hex(4)}"
    manifests = []
    for word in ("one", "other", "one"):
        patch(fake, "drivers/net/dummy.c", word)
        manifests.append(fake.build(scope).manifest)
        Docker().drop_cache_mounts(scope)
    assert manifests[0] == manifests[2] != manifests[1]


def test_a_patch_of_what_no_module_build_reads_leaves_the_headers_alone(fake: FakeProject) -> None:
    fake.build()
    patch(fake, "drivers/net/dummy.c", "module")
    assert not fake.build().result.ran & {"headers", "headers-package", "os-headers"}
    patch(fake, "include/linux/module.h", "header")
    assert fake.build().result.ran >= {"headers", "headers-package", "os-headers"}


def edit_program(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Make the next builds see rosk's own program `name` with one more comment at its end."""
    write_context = context.write_context

    def edited(project: Project, folder: Path) -> None:
        write_context(project, folder)
        with (folder / name).open("a") as file:
            file.write("# one more comment\n")

    monkeypatch.setattr("builder.solver.write_context", edited)
