"""Indexes against those of this machine's depmod."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from builder.verify.depmod import find_depmod, index_ahead
from builder.verify.indexes import depmod_is_silent, indexes_are_fresh
from builder.verify.model import Status
from builder.verify.subject import Subject
from builder.verify.wishes import firmware, soft_dependencies
from tests.unit.verify.releases import V
from tests.unit.verify.subjects import FOLDER, exporting, module, subject, using

pytestmark = pytest.mark.host_programs

INPUTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
A, B, C = (f"kernel/{name}.ko" for name in "abc")


@pytest.fixture
def modules(tmp_path: Path) -> dict[str, bytes]:
    """Three modules, each of which needs the one before."""
    return {
        A: module(tmp_path, exporting("sym_a"), alias="shared"),
        B: module(tmp_path, exporting("sym_b") + using("sym_a"), alias="shared"),
        C: module(tmp_path, using("sym_b", "sym_a"), softdep="pre: b", firmware="c.bin"),
    }


def indexed(tmp_path: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    """lib/modules/V with these modules and its indexes."""
    folder = tmp_path / "indexed/lib/modules" / V
    inputs = dict.fromkeys(INPUTS, b"") | {"modules.order": "".join(f"{name}\n" for name in files).encode()}
    for name, content in {**files, **inputs}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    depmod = find_depmod()
    assert depmod is not None
    subprocess.run([depmod, "-b", tmp_path / "indexed", V], check=True)
    return {f"{FOLDER}/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def details(seen: Subject) -> list[str]:
    return list(indexes_are_fresh(seen).details)


def test_fresh_ones(tmp_path: Path, modules: dict[str, bytes]) -> None:
    seen = subject(tmp_path, kernel=indexed(tmp_path, modules))
    assert indexes_are_fresh(seen).status is Status.OK, details(seen)
    assert depmod_is_silent(seen).status is Status.OK, depmod_is_silent(seen).details


def test_an_order_in_which_nothing_can_be_loaded(tmp_path: Path, modules: dict[str, bytes]) -> None:
    """modprobe loads from the end of a line: c's needs are b, then a."""
    files = indexed(tmp_path, modules)
    line = f"{C}: {B} {A}"
    assert line in files[f"{FOLDER}/modules.dep"].decode()
    files[f"{FOLDER}/modules.dep"] = files[f"{FOLDER}/modules.dep"].replace(line.encode(), f"{C}: {A} {B}".encode())
    assert details(subject(tmp_path, kernel=files)) == [
        f"modules.dep has what {C} needs in an order in which it cannot be loaded: a, b"
    ]


def test_the_order_of_lines_is_kmods_own(tmp_path: Path, modules: dict[str, bytes]) -> None:
    files = indexed(tmp_path, modules)
    for name in ("modules.dep", "modules.symbols"):
        lines = files[f"{FOLDER}/{name}"].splitlines(keepends=True)
        files[f"{FOLDER}/{name}"] = b"".join(lines[::-1])
    assert details(subject(tmp_path, kernel=files)) == []


def test_indexes_from_before_the_split(tmp_path: Path, modules: dict[str, bytes]) -> None:
    """A module that is now in the extras is still in all of them."""
    files = indexed(tmp_path, modules)
    extras = {f"{FOLDER}/{C}": files.pop(f"{FOLDER}/{C}")}
    found = details(subject(tmp_path, kernel=files, extras=extras))
    assert f"modules.dep has {C}, which the package has not" in found
    assert f"modules.dep.bin has {C}, which the package has not" in found
    assert "modules.softdep has 'softdep c pre: b', which is not so of the modules that ship" in found


def test_of_many_differences_some_are_said(tmp_path: Path, modules: dict[str, bytes]) -> None:
    files = indexed(tmp_path, modules)
    files[f"{FOLDER}/modules.alias"] += b"".join(b"alias pci:%d x\n" % number for number in range(50))
    found = details(subject(tmp_path, kernel=files))
    assert len(found) == 21
    assert found[-1] == "modules.alias: 30 more lines"


def test_depmod_complains_of_what_the_extras_have(tmp_path: Path, modules: dict[str, bytes]) -> None:
    a = modules.pop(A)
    seen = subject(tmp_path, kernel=indexed(tmp_path, modules), extras={f"{FOLDER}/{A}": a})
    found = depmod_is_silent(seen).details
    assert [line for line in found if "sym_a" in line]
    assert all(line.startswith("the kernel package: depmod: WARNING: kernel/") for line in found), found


def test_what_one_depmod_reads_is_not_written_for_the_next(
    tmp_path: Path, modules: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They run at the same time: a file that is written anew is an empty one for a moment."""
    extras = {f"{FOLDER}/{C}": modules.pop(C)}
    headers = {"./Module.symvers": b"0x00000000\tsym_a\tkernel/a\tEXPORT_SYMBOL\t\n"}
    seen = subject(tmp_path, kernel=indexed(tmp_path, modules), extras=extras, headers=headers)
    depmod = find_depmod()
    assert depmod is not None
    read: list[Path] = []

    def begun(_: object, argv: list[str | Path], *__: object) -> None:
        read.append(Path(argv[argv.index("-E") + 1]))

    monkeypatch.setattr(seen, "beside", begun)
    index_ahead(seen, depmod, ("kernel",))
    os.utime(read[0], (0, 0))
    index_ahead(seen, depmod, ("kernel", "extras"))
    assert len(read) == 2
    assert read[0].stat().st_mtime == 0


def test_a_machine_without_depmod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.verify.depmod._FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    seen = subject(tmp_path)
    assert depmod_is_silent(seen).status is indexes_are_fresh(seen).status is Status.UNCHECKED


def test_wishes(tmp_path: Path, modules: dict[str, bytes]) -> None:
    """A soft dependency in the extras, one that was never built, and one that the split lost."""
    order = {f"{FOLDER}/modules.order": f"{B}\nkernel/lost.ko\n".encode()}
    wishing = module(tmp_path, "", softdep="pre: b never post: late")
    losing = module(tmp_path, "", softdep="pre: lost")
    seen = subject(
        tmp_path,
        kernel={**order, f"{FOLDER}/kernel/x.ko": wishing, f"{FOLDER}/kernel/y.ko": losing},
        extras={f"{FOLDER}/{B}": modules[B]},
    )
    found = soft_dependencies(seen)
    assert "3 soft dependencies of the kernel package; in the extras 1 (x → b), not built 1 (x → never)" in found.saw
    assert found.details == ("kernel/y.ko has the soft dependency lost, which was built and is in no package",)


def test_firmware(tmp_path: Path, modules: dict[str, bytes]) -> None:
    """Of either package, under its own name or compressed, by a pattern, or in the image itself."""
    asking = module(tmp_path, "", firmware="one.bin")
    more = "".join(f"firmware={name}\\0" for name in ("two.bin", "wifi*.bin", "built-in.bin", "none.bin"))
    text = f'const char more[] __attribute__((section(".modinfo"), aligned(1))) = "{more}";'
    seen = subject(
        tmp_path,
        kernel={
            f"./boot/config-{V}": b'CONFIG_EXTRA_FIRMWARE="built-in.bin"\n',
            f"{FOLDER}/kernel/x.ko": module(tmp_path, text, license="GPL"),
            "./lib/firmware/two.bin.zst": b"",
            "./lib/firmware/wifi-7.bin": b"",
        },
        extras={f"{FOLDER}/{C}": asking, "./lib/firmware/one.bin": b""},
    )
    finding = firmware(seen)
    assert finding.status is Status.OK
    assert finding.saw == (
        "of 4 files that the kernel package's modules may load, 1 (none.bin) are in no package; "
        "of 1 files that the extras package's modules may load, 0 are in no package"
    )
