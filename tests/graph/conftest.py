"""The fake kernel tree as a project that goes through the real BuildKit graph."""

from __future__ import annotations

import io
import itertools
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from builder.build import Built, build
from builder.engine.base import BaseImage
from builder.engine.cacherecords import CACHE_MOUNT
from builder.engine.docker import Docker
from builder.project import load_project
from builder.view import QuietView

FAKE_TREE = Path(__file__).parent.parent / "faketree"
VERSION = "6.12.99"

SETTINGS = """\
org: fake{token}
kernel:
  source: tree
  path: linux
toolchain:
  suite: trixie
firmware:
  source: folder
  path: firmware
"""
CONFIG = """\
CONFIG_MODULES=y
CONFIG_BLOCK=y
CONFIG_NET=y
CONFIG_INET=y
CONFIG_EXT4_FS=m
CONFIG_DUMMY=m
CONFIG_VXLAN=m
CONFIG_FAKENIC=m
CONFIG_SND=m
CONFIG_SND_TIMER=m
"""
MAIN_LIST = """\
# what a machine boots from
kernel/fs/ext4/ext4.ko
kernel/drivers/net/fakenic.ko
"""
EXTRA_LIST = """\
kernel/crypto/crc32c_generic.ko
kernel/drivers/net/dummy.ko
kernel/drivers/net/vxlan/vxlan.ko
kernel/sound/core/snd.ko
kernel/sound/core/snd-timer.ko
"""


MANY_RECORDS = 12000
BETWEEN_LOOKS = 16
"""How many tests end between two looks at how many records there are: the engine takes seconds to list thousands."""
_DEAR = ("apt-get", "dpkg")
"""What the steps of the toolchain have in their text."""


@pytest.fixture(scope="session")
def records_before(engine: None) -> set[str]:
    """The records that were in the engine's build cache before the first test: they are somebody else's."""
    return {record.id for record in Docker().build_cache.records()}


@pytest.fixture(scope="session")
def ended() -> Iterator[int]:
    """Numbers, one for each test."""
    return itertools.count(1)


@pytest.fixture(autouse=True)
def few_records(request: pytest.FixtureRequest, records_before: set[str], ended: Iterator[int]) -> Iterator[None]:
    """Clear the build cache of what tests have left: each build adds dozens of records, and solves slow down with them.

    Cache mounts and the toolchain stay, and what was there before.
    """
    yield
    if not {"fake", "proof"} & set(request.fixturenames) or next(ended) % BETWEEN_LOOKS:
        return
    cache = Docker().build_cache
    left = [
        record.id
        for record in cache.records()
        if record.id not in records_before
        and record.type != CACHE_MOUNT
        and not any(word in record.description for word in _DEAR)
    ]
    if len(left) > MANY_RECORDS:
        cache.prune(left)


@dataclass(frozen=True)
class FakeProject:
    """A project on disk, built in this process so that a test sees which stages ran."""

    root: Path
    base: BaseImage
    arch: str = "x86"

    @property
    def release(self) -> str:
        return f"{VERSION}-{load_project(self.root, arch=self.arch).org}"

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        path = self.root / name
        path.write_text(change(path.read_text()))

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def build(self, scope: str = "") -> Built:
        view = QuietView(Console(file=io.StringIO()))
        return build(
            load_project(self.root, arch=self.arch),
            Docker(),
            self.base,
            view=view,
            command=("rosk", "build"),
            scope=scope,
        )


def make_fake(base: BaseImage, folder: Path, org: str) -> FakeProject:
    """A project for the fake tree; its graph, from `configured` on, is that of all projects of the same org."""
    project = FakeProject(folder, base)
    shutil.copytree(FAKE_TREE, folder / "linux", symlinks=True)
    project.write("config/rosk.yaml", SETTINGS.format(token=org))
    project.write("config/x86/kernel-config", CONFIG)
    project.write("lists/x86/modules.list", MAIN_LIST)
    project.write("lists/x86/modules-extra.list", EXTRA_LIST)
    project.write("lists/x86/firmware.list", "fakenic/nic-1.bin\n")
    project.write("firmware/fakenic/nic-1.bin", "firmware\n")
    project.write("firmware/WHENCE", "Driver: fakenic\n\nFile: fakenic/nic-1.bin\n\nLicence: Redistributable.\n")
    return project


@pytest.fixture
def fake(base: BaseImage, tmp_path: Path) -> FakeProject:
    """A project of its own for each test, of which nothing was built before."""
    return make_fake(base, tmp_path, secrets.token_hex(4))


def write_archive(folder: Path) -> Path:
    """The fake tree as kernel.org would have it: `mirror/v6.x/linux-VERSION.tar.xz`."""
    path = folder / "mirror" / "v6.x" / f"linux-{VERSION}.tar.xz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:xz", preset=1) as tar:
        tar.add(FAKE_TREE, f"linux-{VERSION}")
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """See `write_archive`."""
    return write_archive(tmp_path)


def use(fake: FakeProject, **kernel: str) -> None:
    """Replace the kernel's section of the settings."""
    section = "".join(f"  {key}: {value}\n" for key, value in kernel.items())
    fake.edit("config/rosk.yaml", lambda text: text.replace("  source: tree\n  path: linux\n", section))


@pytest.fixture(scope="session")
def good(base: BaseImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `dist` of a release of the fake tree, for tests that look at it; not to be changed."""
    from tests.graph.edits import new_project  # noqa: PLC0415 - it needs this module

    project = new_project(base, tmp_path_factory.mktemp("good"))
    project.build()
    return project.root / "dist"
