"""`rosk config` through a real BuildKit, on the fake tree."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.config.ask import ConfigOptions
from builder.config.checking import run_check
from builder.config.comparing import run_diff
from builder.config.reporting import run_policy
from builder.config.setting import run_set
from builder.config.updating import run_update
from builder.errors import InputError
from tests.graph.conftest import CONFIG as ASKED
from tests.graph.conftest import FakeProject

pytestmark = pytest.mark.engine

CONFIG, FRAGMENT, POLICY = "config/x86/kernel-config", "config/own.config", "config/policies/own.yaml"
RULES = """\
title: Own
rules:
  - option: VXLAN
    must: y|m
    reason: overlay networks
  - option: XEN
    should: y
    reason: guests
"""


class Config:
    """The commands on a project; what they print as JSON."""

    def __init__(self, fake: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
        self.options = ConfigOptions(root=fake.root, arch="x86", as_json=True)
        self.capsys = capsys

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return found

    def check(self) -> dict[str, Any]:
        self.capsys.readouterr()
        try:
            run_check(self.options)
        except InputError as error:
            assert error.exit_code == 3 and error.details
        return self.told()

    def set(self, *words: str, **given: Any) -> dict[str, Any]:
        self.capsys.readouterr()
        run_set(words, self.options, **given)
        return self.told()


@pytest.fixture
def config(fake: FakeProject, capsys: pytest.CaptureFixture[str]) -> Config:
    fake.edit("config/rosk.yaml", lambda text: text + f"config:\n  fragments: [{FRAGMENT}]\n  policies: [{POLICY}]\n")
    fake.write(FRAGMENT, "# what differs here\nCONFIG_SMP=y\n")
    fake.write(POLICY, RULES)
    fake.write(CONFIG, f"# Networking and files\n{ASKED}")
    return Config(fake, capsys)


def test_options_are_set_once_they_are_proven(fake: FakeProject, config: Config) -> None:
    told = config.check()
    assert (told["version"], told["form"], told["errors"], told["dropped"]) == ("6.12.99", "minimal", 0, [])
    (policy,) = told["policies"]
    assert [rule["options"] for rule in policy["broken"]] == [["XEN"]]

    before = (fake.root / CONFIG).read_text()
    told = config.set("KERNEL_XZ=y", "CONFIG_SND=n", "SND_TIMER=n", "LOG_BUF_SHIFT=18")
    assert told["written"] and all(each["took"] for each in told["set"])
    assert [each["name"] for each in told["also"]] == ["KERNEL_GZIP"]
    assert told["also"][0]["why"] == "of the same choice as CONFIG_KERNEL_XZ"
    after = (fake.root / CONFIG).read_text()
    expected = before.replace("CONFIG_SND=m", "# CONFIG_SND is not set")
    expected = expected.replace("CONFIG_SND_TIMER=m", "# CONFIG_SND_TIMER is not set")
    assert sorted(after.splitlines()) == sorted(
        [*expected.splitlines(), "CONFIG_KERNEL_XZ=y", "CONFIG_LOG_BUF_SHIFT=18"]
    )

    told = config.set("DUMMY=y", fragment="own.config")
    assert (fake.root / FRAGMENT).read_text() == "# what differs here\nCONFIG_SMP=y\nCONFIG_DUMMY=y\n"
    assert (fake.root / CONFIG).read_text() == after
    with pytest.raises(InputError, match=r"own\.config:3 sets it to y, and wins"):
        run_set(["DUMMY=n"], config.options)
    assert config.set("DUMMY=m", "EXT4_FS=n", fragment="own.config", dry_run=True)["written"] is False
    assert config.check()["errors"] == 0


def test_what_does_not_take_is_not_written(fake: FakeProject, config: Config) -> None:
    fake.write(CONFIG, "CONFIG_MODULES=y\nCONFIG_SND=m\nCONFIG_SND_TIMER=m\n")
    fake.write(POLICY, RULES.replace("VXLAN", "SND"))
    before = (fake.root / CONFIG).read_text()
    with pytest.raises(InputError, match="needs NETDEVICES") as caught:
        run_set(["VXLAN=m"], config.options)
    assert "rosk config set --arch x86 NET=y NETDEVICES=y INET=y VXLAN=m" in caught.value.hint
    with pytest.raises(InputError, match="SND_TIMER=m became n: needs SND"):
        run_set(["SND=n"], config.options)
    for words in (["VXLAN=2"], ["VXLN=m"], ["LOG_BUF_SHIFT=large"]):
        with pytest.raises(InputError):
            run_set(words, config.options)
    assert (fake.root / CONFIG).read_text() == before
    config.set("VXLAN=m", force=True)
    assert "CONFIG_VXLAN=m\n" in (fake.root / CONFIG).read_text()
    told = config.check()
    assert told["errors"] == 1
    (dropped,) = told["dropped"]
    assert (dropped["name"], dropped["got"], dropped["where"]) == ("VXLAN", "n", CONFIG)
    told = config.set(*dropped["first"])
    assert told["written"] and config.check()["errors"] == 0


def test_a_broken_policy_stops_a_build_before_its_compile(fake: FakeProject, config: Config) -> None:
    fake.edit(CONFIG, lambda text: text.replace("CONFIG_VXLAN=m\n", ""))
    assert config.check()["errors"] == 1
    with pytest.raises(InputError, match="VXLAN is n, it must be y or m: overlay networks") as caught:
        fake.build()
    assert (str(caught.value.where), caught.value.line) == (POLICY, 3)
    assert not (fake.root / "dist/kernel").exists()
    with pytest.raises(InputError, match="1 rule broken"):
        run_policy([], config.options)
    rules = config.told()["policies"][0]["rules"]
    assert [(rule["kept"], rule["required"]) for rule in rules] == [(False, True), (False, False)]
    config.set("VXLAN=m")
    run_policy([POLICY], config.options)
    with pytest.raises(InputError, match="1 rule broken"):
        run_policy([POLICY], config.options, strict=True)


def test_configs_are_compared(fake: FakeProject, config: Config, tmp_path: Path) -> None:
    config.capsys.readouterr()
    assert run_diff("defaults", "project", config.options)
    told = config.told()
    rows = {each["name"]: each for each in told["options"]}
    assert (rows["VXLAN"]["old"], rows["VXLAN"]["new"], rows["VXLAN"]["group"]) == ("n", "m", "drivers/net")
    assert rows["JBD2"]["prompt"] == "" and "PRINTK" not in rows and "LOCALVERSION" not in rows
    # A minimal config is completed first, and then it is the same as the project's.
    minimal = tmp_path / "config.gz"
    minimal.write_bytes(gzip.compress(f"CONFIG_SMP=y\n{ASKED}".encode()))
    assert not run_diff(str(minimal), str(fake.root), config.options)
    with pytest.raises(InputError, match="no defconfig"):
        run_diff("defconfig", "project", config.options)


def test_a_config_goes_to_another_kernel(fake: FakeProject, config: Config) -> None:
    tree = fake.root / "next"
    shutil.copytree(fake.root / "linux", tree, symlinks=True)
    net = tree / "drivers/net/Kconfig"
    net.write_text(net.read_text().replace("config DUMMY", "config NET_DUMMY"))
    sound = tree / "sound/Kconfig"
    text = sound.read_text().replace("depends on SND", "depends on SND && XEN")
    sound.write_text(text + '\nconfig SND_NEW\n\tbool "A new sound"\n\tdefault y\n\thelp\n\t  It is louder.\n')
    makefile = tree / "Makefile"
    makefile.write_text(makefile.read_text().replace("SUBLEVEL = 99", "SUBLEVEL = 100"))
    config.capsys.readouterr()
    with pytest.raises(InputError, match="would stop for 1 error") as caught:
        run_update(None, config.options, tree=tree, write=True)
    told = config.told()
    assert (told["old"], told["new"], told["written"]) == ("6.12.99", "6.12.100", False)
    (kernel,) = told["kernels"]
    assert [(each["name"], each["value"], each["help"]) for each in kernel["added"] if each["name"] == "SND_NEW"] == [
        ("SND_NEW", "y", "It is louder.")
    ]
    (gone,) = kernel["gone"]
    assert (gone["name"], gone["where"], gone["renamed"], gone["sure"]) == ("DUMMY", CONFIG, "NET_DUMMY", True)
    assert [(each["name"], each["new"]) for each in kernel["changed"]] == [("SND_TIMER", "n")]
    (lost,) = caught.value.details
    assert lost.startswith(f"{CONFIG}:11: CONFIG_SND_TIMER=m became n: needs XEN (n) [sound/Kconfig:7]")

    config.set("SND_TIMER=n")
    before = (fake.root / CONFIG).read_text()
    run_update(None, config.options, tree=tree, write=True)
    assert config.told()["written"]
    assert (fake.root / CONFIG).read_text().splitlines() == [
        line.replace("CONFIG_DUMMY", "CONFIG_NET_DUMMY") for line in before.splitlines()
    ]
    assert 'path: "next"' in (fake.root / "config/rosk.yaml").read_text()
    told = config.check()
    assert (told["version"], told["errors"]) == ("6.12.100", 0)


def test_all_flavours_go_to_another_kernel_or_none(fake: FakeProject, config: Config) -> None:
    """By default all of them; what one of them would stop for holds back the files of the others as well."""
    tree = fake.root / "next"
    shutil.copytree(fake.root / "linux", tree, symlinks=True)
    for file in ("drivers/net/Kconfig", "sound/Kconfig"):
        text = (tree / file).read_text().replace("config DUMMY", "config NET_DUMMY")
        (tree / file).write_text(text.replace("depends on SND", "depends on SND && XEN"))
    flavours = "flavours:\n  generic: {suffix: plain}\n  cloud: {fragments: [config/cloud.config]}\n"
    fake.edit("config/rosk.yaml", lambda text: text + flavours)
    fake.edit(CONFIG, lambda text: text.replace("CONFIG_SND_TIMER=m\n", ""))
    fake.write("config/cloud.config", "CONFIG_SND_TIMER=m\nCONFIG_DUMMY=y\n")
    fake.write("config/arm64/kernel-config", "CONFIG_MODULES=y\n")
    names = (CONFIG, "config/cloud.config", "config/rosk.yaml")
    before = [(fake.root / name).read_text() for name in names]
    options = replace(config.options, arch=None)
    with pytest.raises(InputError, match=r"\(cloud-x86\) would stop for 1 error") as caught:
        run_update(None, options, tree=tree, write=True)
    (lost,) = caught.value.details
    assert lost.startswith("cloud-x86: config/cloud.config:1: CONFIG_SND_TIMER=m became n: needs XEN (n)")
    told = config.told()
    assert [(each["name"], each["files"], each["refused"]) for each in told["kernels"]] == [
        ("generic-x86", [CONFIG], []),
        ("cloud-x86", [CONFIG, "config/cloud.config"], ["SND_TIMER"]),
    ]
    assert [(fake.root / name).read_text() for name in names] == before and not told["written"]
    assert told["left"] == ["arm64"]  # the settings name no architectures, and so only this machine's is meant

    fake.edit("config/cloud.config", lambda text: text.replace("CONFIG_SND_TIMER=m\n", ""))
    run_update(None, options, tree=tree, write=True)
    assert config.told()["written"]
    assert (fake.root / CONFIG).read_text() == before[0].replace("CONFIG_DUMMY", "CONFIG_NET_DUMMY")
    assert (fake.root / "config/cloud.config").read_text() == "CONFIG_NET_DUMMY=y\n"
    assert 'path: "next"' in (fake.root / "config/rosk.yaml").read_text()
    for flavour in ("generic", "cloud"):
        config.options = replace(config.options, flavour=flavour)
        told = config.check()
        assert (told["version"], told["errors"]) == ("6.12.99", 0)
