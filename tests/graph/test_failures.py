"""What goes wrong inside a build: one clear error, and the release before stays whole."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.engine.docker import Docker
from builder.errors import BuildError, InputError, NoSpaceError, RoskError
from tests.graph.conftest import CONFIG, FakeProject

pytestmark = pytest.mark.engine


def failure(fake: FakeProject, kind: type[RoskError]) -> RoskError:
    with pytest.raises(kind) as error:
        fake.build()
    return error.value


def test_a_dropped_option(fake: FakeProject) -> None:
    fake.write("config/x86/kernel-config", CONFIG.replace("CONFIG_INET=y\n", "") + "CONFIG_NOTHING=y\n")
    error = failure(fake, InputError)
    assert error.location == "config/x86/kernel-config:6"
    shown = "\n".join((error.what, *error.details))
    assert "CONFIG_VXLAN" in shown
    assert "INET" in shown
    assert "CONFIG_NOTHING" in shown


def test_a_patch_that_does_not_apply(fake: FakeProject) -> None:
    fake.write("patches/x86/0001-a.patch", "--- a/lib/string.c\n+++ b/lib/string.c\n@@ -1 +1 @@\n-no such line\n+x\n")
    error = failure(fake, InputError)
    assert error.location.startswith("patches/x86/0001-a.patch")
    assert "lib/string.c" in "\n".join((error.what, *error.details))


def test_a_compile_error(fake: FakeProject) -> None:
    """The first compiler error is shown with file and line, and the whole log is in dist/build.log."""
    path = fake.root / "linux/drivers/net/dummy.c"
    lines = len(path.read_text().splitlines())
    path.write_text(path.read_text() + "int broken(void) { return nonsense; }\n")
    error = failure(fake, BuildError)
    assert f"drivers/net/dummy.c:{lines + 1}" in error.what
    assert "nonsense" in error.what
    assert "dist/build.log" in error.hint
    log = (fake.root / "dist/build.log").read_text()
    assert "nonsense" in log
    assert "CC " in log


def test_a_module_in_no_list(fake: FakeProject) -> None:
    fake.write("lists/x86/modules-extra.list", "kernel/drivers/net/dummy.ko\n")
    error = failure(fake, InputError)
    shown = "\n".join((error.what, *error.details))
    assert "kernel/sound/core/snd.ko" in shown
    assert "kernel/drivers/net/vxlan/vxlan.ko" in shown


def test_another_kernel_release(fake: FakeProject) -> None:
    fake.write("linux/localversion-rt", "-rt7\n")
    error = failure(fake, RoskError)
    assert "localversion-rt" in "\n".join((error.what, error.hint, *error.details))
    assert f"{fake.release}" in "\n".join((error.what, *error.details))


def test_a_failing_hook(fake: FakeProject) -> None:
    fake.write("hooks/01-check", "#!/bin/sh\necho the driver is missing >&2\nexit 3\n")
    (fake.root / "hooks/01-check").chmod(0o755)
    error = failure(fake, InputError)
    assert "01-check" in str(error)
    assert "the driver is missing" in "\n".join(error.details)


def test_the_release_before_stays(fake: FakeProject) -> None:
    images = fake.build().manifest["images"]
    before = {path.name: path.read_bytes() for path in (fake.root / "dist/kernel").iterdir()}
    fake.write("config/x86/kernel-config", CONFIG.replace("EXT4_FS=m", "EXT4_FS=y"))  # in another headers image, too
    fake.write("lists/x86/modules-extra.list", "")
    failure(fake, InputError)
    assert {Docker().image_id(tag) for tag in images} <= {None, *images.values()}
    assert {path.name: path.read_bytes() for path in (fake.root / "dist/kernel").iterdir()} == before
    assert not [path for path in (fake.root / "dist").iterdir() if path.name.startswith(".")]


@pytest.fixture
def small_disk(fake: FakeProject) -> Iterator[Path]:
    """`dist` on a file system of 256 kB."""
    dist = fake.root / "dist"
    dist.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "rosk-test", dist], check=True)
    yield dist
    subprocess.run(["umount", dist], check=True)


def test_no_space_left(fake: FakeProject, small_disk: Path) -> None:
    error = failure(fake, NoSpaceError)
    assert error.hint
    assert not (small_disk / "kernel").exists()
