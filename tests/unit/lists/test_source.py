from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from builder.context import dockerfiles
from builder.errors import BuildError
from builder.lists.source import Foreseen, Released, join, read_foreseen
from builder.stagenames import TAKES
from builder.stages.modules import scan
from builder.stages.split import Known
from tests.unit.lists.kernels import BASE, BTRFS, CONFIG, HASH, NIC, NVME, OPTIONS, XOR, V, write_modules
from tests.unit.test_dockerfile import closure

TEXT = "\n".join((dockerfiles() / f"{name}.Dockerfile").read_text() for name in ("kernel", "lists"))
NEW = "kernel/fs/new.ko"


def foreseen(*built: str, **config: str) -> Foreseen:
    options = {**OPTIONS, NEW: "CONFIG_NEW"}
    known = Known(options=options, config={**CONFIG, "CONFIG_NEW": "m", **config})
    return Foreseen(v="6.12.100-acme", built=frozenset(built), needs={NEW: (BASE,)}, known=known)


@pytest.fixture
def released(tmp_path: Path) -> Released:
    return Released(v=V, modules=scan(write_modules(tmp_path)), config=CONFIG)


def takes_from(stage: str) -> set[str]:
    """All stages that a stage of the two Dockerfiles takes from."""
    found: dict[str, set[str]] = {}
    for block in re.split(r"^(?=FROM )", TEXT, flags=re.M)[1:]:
        base, name = re.findall(r"^FROM (?:--\S+ )?(\S+) AS (\S+)$", block, re.M)[0]
        found[name] = {base, *TAKES.findall(block)}
    seen: set[str] = set()
    todo = {stage}
    while todo:
        seen |= todo
        todo = set().union(*(found.get(each, set()) for each in todo)) - seen
    return seen


def test_nothing_is_compiled_for_it() -> None:
    assert "configured" in takes_from("lists")
    assert not {"compile", "split", "kernel-package"} & takes_from("lists")
    assert "compile" in takes_from("release")  # what was read is the graph


def test_the_stage_has_what_its_program_imports() -> None:
    copied = {
        Path(name).stem
        for block in re.split(r"^(?=FROM )", TEXT.replace("\\\n", " "), flags=re.M)
        if re.match(r"FROM \S+ AS (configured|foreseen)\n", block)
        for line in re.findall(r"^COPY --from=rosk-programs (stages/.*)$", block, re.M)
        for name in line.split()[:-1]
    }
    assert copied == closure("foresee") | closure("configure")


def test_what_was_never_compiled_has_only_its_path(released: Released) -> None:
    kernel = join(foreseen(BTRFS, XOR, BASE, NEW), released, Path("dist"))
    assert set(kernel.built.modules) == {BTRFS, XOR, BASE, NEW}
    assert kernel.unseen == {NEW} and kernel.v == "6.12.100-acme"
    assert kernel.built.depends(BTRFS) == [XOR] and kernel.built.depends(NEW) == []
    assert (kernel.option(BTRFS), kernel.option("kernel/fs/fat/fat.ko")) == ("CONFIG_BTRFS_FS=m", "CONFIG_FAT_FS=n")
    assert any("1 module never compiled" in line for line in kernel.sources)


def test_a_module_that_moved_keeps_what_is_known_of_it(released: Released) -> None:
    moved = "kernel/fs/new/btrfs.ko"
    kernel = join(foreseen(moved, XOR, BASE), released, Path("dist"))
    assert not kernel.unseen
    assert kernel.built.modules[moved].path == moved and kernel.built.depends(moved) == [XOR]


def test_what_is_built_in_now_is_no_module(released: Released) -> None:
    kernel = join(foreseen(BTRFS, BASE, NVME, NIC, HASH, CONFIG_XOR="y"), released, Path("dist"))
    assert XOR not in kernel.built.modules
    assert kernel.built.builtin["xor"] == XOR and kernel.built.depends(BTRFS) == []
    # The release names what is built in and has no option of its own; the config is the newer word on the others.
    assert kernel.built.builtin["sha256"] == "kernel/crypto/sha256.ko"
    assert "ext4" not in join(foreseen(BASE, CONFIG_EXT4_FS="n"), released, Path("dist")).built.builtin


def test_without_an_engine_the_release_is_all_there_is(released: Released) -> None:
    kernel = join(None, released, Path("dist"))
    assert kernel.v == V and kernel.built is released.modules and kernel.option(BTRFS) is None


def test_without_a_release_no_module_was_compiled() -> None:
    kernel = join(foreseen(BTRFS, NEW), None, Path("dist"))
    assert kernel.unseen == {BTRFS, NEW}


def test_what_the_engine_told_is_read_and_half_of_it_refused(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("CONFIG_A=m\n# CONFIG_B is not set\n")
    (tmp_path / "kernel.release").write_text("6.12.99-acme\n")
    (tmp_path / "module-options.json").write_text('{"kernel/a.ko": "CONFIG_A"}')
    (tmp_path / "foreseen.json").write_text(json.dumps({"built": ["kernel/a.ko"], "needs": {"kernel/a.ko": []}}))
    found = read_foreseen(tmp_path)
    assert found.v == "6.12.99-acme" and found.built == {"kernel/a.ko"}
    assert found.known.config == {"CONFIG_A": "m"}
    (tmp_path / "foreseen.json").write_text("[]")
    with pytest.raises(BuildError, match="told nothing of the modules"):
        read_foreseen(tmp_path)
