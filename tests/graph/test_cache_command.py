"""`rosk cache` itself, as a process, and a build with the caches of the settings.

What the caches are good for is seen in `test_caches.py`.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.cachefolder import folder_tags
from builder.engine.docker import Docker
from builder.solver import base_layout
from tests.conftest import Rosk, run_rosk
from tests.graph.conftest import EXTRA_LIST, MAIN_LIST, FakeProject

pytestmark = pytest.mark.engine

DAY = 86400.0


@dataclass(frozen=True)
class User:
    """Somebody with a folder of downloads of their own, and two folders beside their project for finished stages."""

    fake: FakeProject
    cache: Path

    @property
    def stages(self) -> Path:
        return self.fake.root.with_name(f"{self.fake.root.name}-stages")

    @property
    def others(self) -> Path:
        return self.fake.root.with_name(f"{self.fake.root.name}-others")

    def rosk(self, *words: str | Path) -> Rosk:
        done = run_rosk(*words, ROSK_CACHE=str(self.cache), COLUMNS="160")
        assert done.code == 0, done.err
        return done

    def kept(self) -> dict[str, int]:
        """What is kept, by kind, and its size."""
        return {row["what"]: row["size"] for row in json.loads(self.rosk("cache", "--json").out)}

    def files(self) -> list[Path]:
        return sorted(path for path in self.cache.rglob("*") if path.is_file())


@pytest.fixture
def user(fake: FakeProject, tmp_path_factory: pytest.TempPathFactory) -> User:
    return User(fake, tmp_path_factory.mktemp("cache"))


@pytest.mark.heavy
def test_what_is_kept_is_shown_and_handed_on(user: User) -> None:
    """From the first export to a build by the settings, and nothing of it goes with a dry run."""
    fake, tree = user.fake, f"object tree of {user.fake.release} (x86)"
    exported = user.rosk("cache", "export", f"../{user.stages.name}", "-C", fake.root)
    assert re.search(r"^built or moved: .*compile", exported.out, re.M)
    assert len(folder_tags(user.stages)) == 1

    kept = user.kept()
    assert kept.keys() >= {tree, "toolchain layers", "compiled stages", "staged source trees"}
    assert "downloads" not in kept
    old = user.cache / f"sha256/{'ab' * 32}/linux.tar.xz"
    old.parent.mkdir(parents=True)
    old.write_text("x" * 100)
    os.utime(old, (time.time() - 21 * DAY,) * 2)
    shown = user.rosk("cache").out
    assert re.search(
        rf"^ {re.escape(tree)} +\d.*B +(just now|\d+ \w+ ago) +the next build of {fake.release} ", shown, re.M
    )
    assert re.search(r"^ downloads +100 B +21 days ago ", shown, re.M)

    files = user.files()
    told = user.rosk("cache", "prune", "--dry-run").out
    assert re.search(r"^ *100 B  downloads$", told, re.M)
    assert tree not in told
    assert tree in user.rosk("cache", "prune", "--all", "--dry-run").out
    assert user.files() == files
    assert user.kept()[tree] == kept[tree]

    imported = user.rosk("cache", "import", f"../{user.stages.name}", "-C", fake.root)
    assert re.search(r"^there already: .*compile", imported.out, re.M)

    places = f"cache:\n  from: [../{user.others.name}]\n  to: [../{user.others.name}]\n"
    fake.edit("config/rosk.yaml", lambda text: f"{text}{places}")
    first = user.rosk("build", "-C", fake.root)
    assert f"there is no cache in {user.others}: nothing is taken from it" in first.out
    assert folder_tags(user.others) == folder_tags(user.stages), first.out
    moved = "kernel/drivers/net/dummy.ko\n"
    fake.write("lists/x86/modules.list", MAIN_LIST + moved)
    fake.write("lists/x86/modules-extra.list", EXTRA_LIST.replace(moved, ""))
    second = user.rosk("build", "-C", fake.root, "--json")
    built = json.loads(second.out)
    assert "split" in built["ran"]
    assert "compile" in built["cached"]
    assert "there is no cache" not in second.err


def test_base_images_for_other_builders(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSK_CACHE", str(user.cache))
    engine = Docker()
    engine.remote = True
    found = base_layout(engine, user.fake.base)
    (layout,) = (path for path in (user.cache / "bases").iterdir() if path.is_dir())
    assert found and re.fullmatch(rf"oci-layout://{layout}@sha256:[0-9a-f]{{64}}", found)
    size = user.kept()["base images for other builders"]
    assert size == sum(path.stat().st_size for path in layout.rglob("*") if path.is_file())

    blob = max(layout.glob("blobs/sha256/*"), key=lambda path: path.stat().st_size)
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1])
    assert base_layout(engine, user.fake.base) == found
    assert blob.read_bytes() == whole
