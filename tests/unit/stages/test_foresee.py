from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.stages.foresee import module_needs, option_needs, siblings
from builder.stages.kconfig import Kconfig
from builder.stages.modules import scan
from tests.unit.stages.faketree import MODULES, RELEASE, TREE, configure, run_stage

KCONFIG = """\
config FS
\ttristate "a file system"
\tselect LIB
\tselect OFF if BROKEN
config FS_ACL
\tbool "lists"
\tdepends on FS
\tselect ACL
config LIB
\ttristate
config ACL
\ttristate
config OFF
\ttristate
config BUS
\ttristate "a bus"
config BUS_EXTRA
\tbool "more of it"
\tdepends on BUS
config DRIVER
\ttristate "a driver"
\tdepends on BUS_EXTRA
config RAID
\ttristate "all of it"
\tselect PQ
\tselect XOR
config PQ
\ttristate
config XOR
\ttristate
config THUNDER
\ttristate "a card"
\timply CLOCK
config CLOCK
\ttristate "a clock"
config CIFS
\ttristate "a client"
config SERVER
\ttristate "a server"
config SMBFS
\ttristate
\tdefault y if CIFS=y || SERVER=y
\tdefault m if CIFS=m || SERVER=m
config VIRT
\ttristate "virtual machines"
config VIRT_INTEL
\ttristate "of Intel"
\tdepends on VIRT
config VIRT_X86
\tdef_tristate VIRT if (VIRT_INTEL != n || VIRT_AMD != n)
config TV_DVB
\ttristate "digital"
config TV_MPEG
\ttristate
\tdepends on TV_DVB || TV_BLACKBIRD
\tdefault y
config NAT
\ttristate "addresses"
config TRACK_FTP
\ttristate "connections"
config NAT_FTP
\ttristate
\tdefault NAT && TRACK_FTP
"""
VALUES = {
    **dict.fromkeys(("FS", "LIB", "ACL", "OFF", "BUS", "DRIVER", "RAID", "PQ", "XOR", "CIFS", "SMBFS"), "m"),
    **dict.fromkeys(("THUNDER", "CLOCK"), "m"),
    **dict.fromkeys(("VIRT", "VIRT_INTEL", "VIRT_X86", "TV_DVB", "TV_MPEG", "NAT", "TRACK_FTP", "NAT_FTP"), "m"),
    **dict.fromkeys(("FS_ACL", "BUS_EXTRA"), "y"),
}
OPTIONS = {f"kernel/{name.lower()}.ko": [name] for name, value in VALUES.items() if value == "m"}


@pytest.fixture
def needs(tmp_path: Path) -> dict[str, list[str]]:
    """Module → what it may depend on, by name."""
    (tmp_path / "Kconfig").write_text(KCONFIG)
    kconfig = Kconfig(tmp_path, "x86")
    found = option_needs(kconfig, VALUES)
    beside = {option: siblings(kconfig, VALUES, found, option) for option in VALUES}
    told = module_needs(set(OPTIONS), OPTIONS, found, beside)
    return {Path(path).stem: [Path(other).stem for other in others] for path, others in told.items()}


def test_a_module_may_need_what_its_option_and_its_further_options_select(needs: dict[str, list[str]]) -> None:
    assert needs["fs"] == ["acl", "lib"]


def test_a_module_may_need_what_its_option_depends_on_also_through_a_bool(needs: dict[str, list[str]]) -> None:
    assert "bus" in needs["driver"]
    assert needs["bus"] == []


def test_an_option_without_a_prompt_may_need_what_is_selected_beside_it(needs: dict[str, list[str]]) -> None:
    assert needs["pq"] == ["raid", "xor"]
    assert needs["raid"] == ["pq", "xor"]


def test_a_module_may_need_what_its_option_proposes(needs: dict[str, list[str]]) -> None:
    assert needs["thunder"] == ["clock"] and needs["clock"] == []


def test_a_module_of_an_unknown_option_may_have_to_do_with_its_whole_folder() -> None:
    eth, netlink, core, other = "net/l2tp/eth.ko", "net/l2tp/netlink.ko", "net/l2tp/core.ko", "net/tipc/tipc.ko"
    options = {core: ["L2TP"], other: ["TIPC"]}
    found = module_needs({eth, netlink, core, other}, options, {}, {})
    assert found == {eth: [core, netlink], netlink: [core, eth], core: [eth, netlink], other: []}


def test_what_may_need_a_helper_that_its_defaults_put_on(needs: dict[str, list[str]]) -> None:
    assert "smbfs" in needs["cifs"]
    assert "virt_x86" in needs["virt_intel"]
    assert "tv_mpeg" in needs["tv_dvb"]


def test_what_joins_two_modules_needs_both_and_neither_needs_it(needs: dict[str, list[str]]) -> None:
    assert needs["nat_ftp"] == ["nat", "track_ftp"]
    assert needs["nat"] == needs["track_ftp"] == []


def test_what_is_foreseen_of_the_fake_kernel_is_what_its_compile_makes(compiled: Path, tmp_path: Path) -> None:
    configured = compiled / "configured"
    done = run_stage(
        "foresee", "--tree", TREE, "--configured", configured, "--srcarch", "x86", "--out", tmp_path / "out.json"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["built"] == sorted(MODULES)
    built = scan(compiled / "out/modules/lib/modules" / RELEASE)
    for path in built.modules:
        assert set(built.depends(path)) <= set(told["needs"][path])


def test_another_config_makes_other_modules(tmp_path: Path) -> None:
    assert configure(TREE, tmp_path / "configured", config="CONFIG_MODULES=y\nCONFIG_SND=m\n").returncode == 0
    out = tmp_path / "out.json"
    done = run_stage(
        "foresee", "--tree", TREE, "--configured", tmp_path / "configured", "--srcarch", "x86", "--out", out
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kernel/sound/core/snd.ko" in json.loads(out.read_text())["built"]
    assert "kernel/fs/ext4/ext4.ko" not in json.loads(out.read_text())["built"]
