from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import InputError
from builder.lists.model import Kernel, Policy
from builder.lists.why import Why, explain
from builder.stages.lists import FIRMWARE, parse_list
from tests.unit.lists.kernels import BASE, BTRFS, HASH, NIC, NVME, XOR, kernel, texts


@pytest.fixture
def small(tmp_path: Path) -> Kernel:
    return kernel(tmp_path)


def why(small: Kernel, module: str, main: str = f"{BTRFS}\n", extra: str = "", **policy: str) -> Why:
    firmware = parse_list("# nic\nnic/a*\n", "lists/x86/firmware.list", FIRMWARE)
    (found,) = explain(module, small, texts(main, extra).lists, Policy(**policy), firmware)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("name", [HASH, "hash_generic", "hash-generic", "hash64"])
def test_a_module_is_found_by_path_name_and_alias(small: Kernel, name: str) -> None:
    found = why(small, name, extra="kernel/crypto/*\n")
    assert (found.path, found.package, found.option) == (HASH, "extras", "CONFIG_HASH=m")
    assert found.lines == ("lists/modules-extra.list:1 (kernel/crypto/*)",)
    assert found.because == "a list names it" and found.wanted_by == (BTRFS,)


def test_a_dependency_tells_by_whom_it_came(small: Kernel) -> None:
    found = why(small, "base")
    assert (found.package, found.through, found.lines) == ("kernel", (BTRFS, XOR, BASE), ())
    assert found.needed_by == (NIC, NVME, XOR)
    assert BTRFS in found.because
    found = why(small, "xor", extra=f"{XOR}\n")
    assert found.package == "kernel" and "although modules-extra.list names it" in found.because


def test_what_it_needs_and_asks_for(small: Kernel) -> None:
    found = why(small, "btrfs")
    assert found.depends == (XOR,) and found.license == "GPL" and found.boot
    assert found.softdeps == {"hash64": [HASH], "sha256": ["the kernel image"]}
    nic = why(small, "nic", extra=f"{NIC}\n")
    assert nic.firmware == {"nic/a.fw": "lists/x86/firmware.list:2", "nic/b.fw": None}
    assert nic.size == small.built.modules[NIC].size


def test_a_pulled_soft_dependency(small: Kernel) -> None:
    found = why(small, HASH, softdeps="pull")
    assert found.package == "kernel" and "soft dependency" in found.because


def test_a_module_that_may_come_along_stops_no_build_as_far_as_is_known(tmp_path: Path) -> None:
    new = kernel(tmp_path, unseen=frozenset({NIC}), needs={NIC: (HASH,)})
    found = why(new, HASH, extra=f"{NIC}\n")
    assert found.package is None and "stops a build" not in found.because
    assert f"it may come along with {NIC}, which was never compiled" in found.because
    sent = why(new, HASH, extra=f"{NIC}\n", unlisted="extra")
    assert sent.package == "extras" and "lists fix" not in sent.because
    assert f"it may come along with {NIC}" in sent.because


def test_a_module_in_no_list(small: Kernel) -> None:
    found = why(small, "nvme")
    assert found.package is None and "stops a build" in found.because and "core" in found.because
    assert why(small, "nvme", unlisted="extra").package == "extras"


def test_a_module_that_was_never_compiled(tmp_path: Path) -> None:
    new = kernel(tmp_path, unseen=frozenset({NIC}), needs={NIC: (HASH,)})
    found = why(new, NIC)
    assert (found.size, found.may_need) == (None, (HASH,))


@pytest.mark.parametrize(
    ("module", "main", "state", "because"),
    [
        ("ext4", "", "built-in", "it is part of the kernel image (CONFIG_EXT4_FS=y)"),
        ("kernel/crypto/sha256.ko", "", "built-in", "it is part of the kernel image"),
        ("fat", "", "off", "it is not built: CONFIG_FAT_FS=n"),
        ("gone", "kernel/gone.ko\n", "unknown", "this kernel does not have it"),
        ("kernel/old/nic.ko", "kernel/old/nic.ko\n", "unknown", f"this kernel has it as {NIC}"),
    ],
)
def test_what_is_no_module_of_this_kernel(small: Kernel, module: str, main: str, state: str, because: str) -> None:
    found = why(small, module, main=main)
    assert (found.package, found.state, found.because) == (None, state, because)
    assert len(found.lines) == bool(main)


def test_what_nobody_knows_is_refused_with_what_is_close(small: Kernel) -> None:
    with pytest.raises(InputError, match="has the module btrsf") as caught:
        why(small, "btrsf")
    assert caught.value.hint == "is it btrfs?"
