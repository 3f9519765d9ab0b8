from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from builder.stages.common import MARK
from tests.keys import EC, make_key
from tests.unit.stages import faketree

FULL = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.11.0 Kernel Configuration\n#\n"
RUN = {
    "--tree": faketree.TREE,
    "--localversion": "-rosk",
    "--release": faketree.RELEASE,
    "--arch": "x86_64",
}


def configure(
    work: Path,
    config: str = faketree.CONFIG,
    *flags: str,
    run: Mapping[str, str | Path] | None = None,
    fragments: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run the stage; returns its error event, or its report when it succeeds."""
    given = {**RUN, **(run or {})}
    tools = [
        f"{name}={given[name]}"
        for name in ("--arch", "--cross-compile", "--compiler", "--make-variables")
        if name in given
    ]
    base = faketree.begin(Path(str(given["--tree"])), work / "base", *tools)
    inputs = [*faketree.write_inputs(work, config, fragments or {}), *base]
    options = [f"{name}={value}" for name, value in given.items()]
    done = faketree.run_stage("configure", *options, *inputs, "--out", work / "out", *flags)
    assert done.stderr == ""
    if done.returncode == 0:
        report: dict[str, Any] = json.loads((work / "out/report.json").read_text())
        return report
    event: dict[str, Any] = json.loads(done.stdout.splitlines()[-1].removeprefix(MARK))
    assert event["event"] == "error"
    assert not (work / "out").exists()
    return event


def result(work: Path) -> list[str]:
    return (work / "out/config").read_text().splitlines()


def test_a_minimal_config_is_completed(tmp_path: Path) -> None:
    report = configure(tmp_path)
    assert (report["form"], report["changed"], report["warnings"]) == ("minimal", {}, [])
    lines = result(tmp_path)
    assert "CONFIG_EXT4_FS=m" in lines
    assert "CONFIG_JBD2=m" in lines  # selected
    assert "CONFIG_PRINTK=y" in lines  # a default
    assert 'CONFIG_LOCALVERSION="-rosk"' in lines
    assert "# CONFIG_LOCALVERSION_AUTO is not set" in lines
    assert (tmp_path / "out/kernel.release").read_text() == "6.12.99-rosk\n"
    assert int((tmp_path / "out/objects").read_text()) > 20


def test_the_report_tells_what_was_asked_for_and_what_the_defaults_are(tmp_path: Path) -> None:
    report = configure(tmp_path)
    line = faketree.CONFIG.splitlines().index("CONFIG_EXT4_FS=m") + 1
    assert report["asked"]["CONFIG_EXT4_FS"] == {"value": "m", "where": "config/kernel-config", "line": line}
    assert "CONFIG_JBD2" not in report["asked"]
    values = report["defaults"]["values"]
    assert values["CONFIG_PRINTK"] == "y"
    assert not {"CONFIG_EXT4_FS", "CONFIG_JBD2"} & values.keys()
    assert "CONFIG_EXT4_FS=m" in result(tmp_path)  # and the config that is handed on is not the defaults'


def test_modules_are_mapped_to_their_options_built_or_not(tmp_path: Path) -> None:
    configure(tmp_path)
    options = json.loads((tmp_path / "out/module-options.json").read_text())
    assert options["kernel/fs/ext4/ext4.ko"] == "CONFIG_EXT4_FS"
    assert options["kernel/drivers/net/dummy.ko"] == "CONFIG_DUMMY"
    assert set(faketree.MODULES) < set(options)
    assert "kernel/net/ipv4/ipv4.ko" not in options


def test_fragments_are_merged_in_the_order_of_their_names(tmp_path: Path) -> None:
    fragments = {"10-a": "CONFIG_DUMMY=y\nCONFIG_SMP=y\n", "20-b": "CONFIG_DUMMY=m\n# CONFIG_SND is not set\n"}
    configure(tmp_path, faketree.CONFIG.replace("CONFIG_SND_TIMER=m\n", ""), fragments=fragments)
    assert "CONFIG_DUMMY=m" in result(tmp_path)
    assert "# CONFIG_SND is not set" in result(tmp_path)


def test_an_unmet_dependency_is_named_with_its_place(tmp_path: Path) -> None:
    error = configure(tmp_path, faketree.CONFIG.replace("CONFIG_INET=y\n", ""))
    assert error["what"] == "CONFIG_VXLAN=m became n: needs INET (n) [drivers/net/Kconfig:14]"
    assert (error["where"], error["line"]) == ("config/kernel-config", 5)


def test_every_dropped_option_is_named(tmp_path: Path) -> None:
    config = faketree.CONFIG + "CONFIG_EXT4=m\nCONFIG_SMP=m\nCONFIG_JBD2=n\nCONFIG_FS_MBCACHE=y\nCONFIG_PRINTK=17\n"
    error = configure(tmp_path, config, fragments={"10-x": "CONFIG_KERNEL_GZIP=y\nCONFIG_KERNEL_XZ=y\n"})
    assert error["what"].endswith("(and 5 more)")
    assert error["details"] == [
        "config/kernel-config:10: CONFIG_EXT4=m became n: this kernel has no such option; is it CONFIG_EXT4_FS?",
        "config/kernel-config:11: CONFIG_SMP=m became y: it cannot be a module, only y or n [arch/x86/Kconfig:21]",
        "config/kernel-config:12: CONFIG_JBD2=n became m: selected by CONFIG_EXT4_FS [fs/Kconfig:7]",
        "config/kernel-config:13: CONFIG_FS_MBCACHE=y became m: it has no prompt: only other options set it "
        "[fs/Kconfig:18]",
        "config/kernel-config:14: CONFIG_PRINTK=17 became y: its type is bool [init/Kconfig:29]",
        "config/fragments/10-x:1: CONFIG_KERNEL_GZIP=y became n: the choice is CONFIG_KERNEL_XZ [init/Kconfig:13]",
    ]


def test_a_fragment_overrules_the_choice_of_the_config(tmp_path: Path) -> None:
    report = configure(
        tmp_path, faketree.CONFIG + "CONFIG_KERNEL_GZIP=y\n", fragments={"10-xz": "CONFIG_KERNEL_XZ=y\n"}
    )
    assert report["changed"] == {}
    assert "CONFIG_KERNEL_XZ=y" in result(tmp_path)


def test_what_a_whole_config_loses_is_a_report(tmp_path: Path) -> None:
    config = FULL + faketree.CONFIG + "CONFIG_GONE=y\nCONFIG_JBD2=y\n"
    report = configure(tmp_path, config)
    assert report["form"] == "full"
    assert report["changed"] == {"CONFIG_GONE": "n"}  # nobody asked for JBD2, which has no prompt
    assert report["warnings"] == [
        {
            "kind": "config-dropped",
            "what": "CONFIG_GONE=y became n: this kernel has no such option",
            "where": "config/kernel-config",
            "line": 14,
        }
    ]


def test_with_strict_it_is_an_error(tmp_path: Path) -> None:
    error = configure(tmp_path, FULL + faketree.CONFIG + "CONFIG_GONE=y\n", "--strict")
    assert (error["where"], error["line"]) == ("config/kernel-config", 14)


def test_a_fragment_beside_a_whole_config_stays_strict(tmp_path: Path) -> None:
    error = configure(tmp_path, FULL + faketree.CONFIG, fragments={"10-x": "\nCONFIG_GONE=y\n"})
    assert (error["where"], error["line"]) == ("config/fragments/10-x", 2)


def test_the_configs_own_localversion_is_replaced_and_reported(tmp_path: Path) -> None:
    report = configure(tmp_path, faketree.CONFIG + 'CONFIG_LOCALVERSION="-mine"\nCONFIG_LOCALVERSION_AUTO=y\n')
    (warning,) = report["warnings"]
    assert (warning["kind"], warning["line"]) == ("config-localversion", 10)
    assert 'CONFIG_LOCALVERSION="-rosk"' in result(tmp_path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return Path(shutil.copytree(faketree.TREE, tmp_path / "tree"))


def test_a_localversion_file_is_the_explanation_of_another_release(tmp_path: Path, tree: Path) -> None:
    (tree / "localversion-rt").write_text("-rt12\n")
    error = configure(tmp_path, run={"--tree": tree})
    assert error["what"] == "this source makes the kernel release 6.12.99-rt12-rosk, not 6.12.99-rosk"
    assert "the file localversion-rt in the source tree adds to it" in error["details"]


def test_another_version_is_explained_by_the_top_makefile(tmp_path: Path) -> None:
    error = configure(tmp_path, run={"--release": "6.12.100-rosk"})
    assert "6.12.99-rosk, not 6.12.100-rosk" in error["what"]
    assert "the top Makefile says SUBLEVEL = 99" in error["details"]


def test_the_environment_adds_nothing_to_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALVERSION", "-mine")
    configure(tmp_path)
    assert (tmp_path / "out/kernel.release").read_text() == "6.12.99-rosk\n"


def test_what_is_no_config_is_refused(tmp_path: Path) -> None:
    error = configure(tmp_path, "<html>404</html>\n")
    assert (error["where"], error["line"]) == ("config/kernel-config", 1)


def test_a_failing_make_shows_what_it_said(tmp_path: Path, tree: Path) -> None:
    (tree / "scripts/kconfig/conf.py").write_text("raise SystemExit('no such luck')\n")
    words = ("--tree", tree, "--obj", tmp_path / "obj", "--arch", "x86_64", "--out", tmp_path / "defaults.json")
    done = faketree.run_stage("kconfigdefaults", *words)
    error = json.loads(done.stdout.splitlines()[-1].removeprefix(MARK))
    assert error["what"] == "make olddefconfig failed in the kernel tree"
    assert "no such luck" in error["details"]


def test_another_architecture_reads_its_own_kconfig(tmp_path: Path) -> None:
    config = faketree.CONFIG.replace("CONFIG_UNWINDER_ORC=y\n", "")
    configure(tmp_path, config, run={"--arch": "arm64"})
    assert "CONFIG_ARM64=y" in result(tmp_path)


def test_an_option_that_makes_builds_differ_is_said(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(faketree.TREE, tree, symlinks=True)
    with (tree / "init/Kconfig").open("a") as kconfig:
        kconfig.write('\nconfig IKHEADERS\n\ttristate "Headers in the kernel"\n')
    report = configure(tmp_path, faketree.CONFIG + "CONFIG_IKHEADERS=m\n", run={"--tree": tree})
    (found,) = report["warnings"]
    assert (found["kind"], found["where"]) == ("not-reproducible", "config/kernel-config")
    assert found["line"] == len(faketree.CONFIG.splitlines()) + 1
    assert found["what"].startswith("CONFIG_IKHEADERS=m makes no two builds equal: ")


SIGNED = f"{faketree.CONFIG}CONFIG_MODULE_SIG=y\n"


def test_the_projects_key_is_what_the_kernel_trusts(tmp_path: Path) -> None:
    """Whatever key the file names: nothing is generated, nothing is noticed."""
    asked = f'{SIGNED}CONFIG_MODULE_SIG_KEY="certs/mine.pem"\n'
    report = configure(tmp_path, asked, "--signing", "key")
    assert 'CONFIG_MODULE_SIG_KEY="certs/rosk-modules.pem"' in result(tmp_path)
    assert report["warnings"] == []


def test_a_key_for_a_kernel_that_looks_at_none(tmp_path: Path) -> None:
    error = configure(tmp_path, faketree.CONFIG, "--signing", "key")
    assert "CONFIG_MODULE_SIG is off" in error["what"]
    assert (error["where"], "CONFIG_MODULE_SIG=y" in error["hint"]) == ("config/kernel-config", True)


def test_an_ecdsa_key_that_the_kernel_cannot_verify(tmp_path: Path) -> None:
    make_key(tmp_path / "key.pem", *EC)
    flags = ("--signing", "key", "--certificate", str(tmp_path / "key.pem.crt"))
    assert "CONFIG_CRYPTO_ECDSA" in configure(tmp_path, SIGNED, *flags)["what"]
    configure(tmp_path, f"{SIGNED}CONFIG_CRYPTO_ECDSA=y\n", *flags)


def test_a_generated_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noticed; where nothing can generate one, that is said before the compile."""
    (notice,) = configure(tmp_path / "1", SIGNED)["warnings"]
    assert notice["kind"] == "not-reproducible" and "signing.key" in notice["what"]
    bin = tmp_path / "bin"
    bin.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for program in Path(folder).iterdir():
            if program.name != "openssl" and not (bin / program.name).exists():
                (bin / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(bin))
    error = configure(tmp_path / "2", SIGNED)
    assert "needs a key" in error["what"] and "signing.key" in error["hint"]


@pytest.mark.parametrize("quoted", [True, False])
def test_the_release_is_found_without_another_look_at_all_kconfig_files(tmp_path: Path, *, quoted: bool) -> None:
    """kconfig would write a header then; it does where what it writes is read in another way."""
    tree = Path(shutil.copytree(faketree.TREE, tmp_path / "tree", symlinks=True))
    if not quoted:
        makefile = tree / "Makefile"
        text = makefile.read_text()
        assert '$(CONFIG_LOCALVERSION:"%"=%)' in text
        bare = text.replace('$(CONFIG_LOCALVERSION:"%"=%)', '$(patsubst "%",%,$(filter "%,$(CONFIG_LOCALVERSION)))')
        makefile.write_text(bare)
    configure(tmp_path, run={"--tree": tree})
    assert (tmp_path / "out/kernel.release").read_text() == "6.12.99-rosk\n"
    assert bool(list(tmp_path.rglob("include/generated/autoconf.h"))) != quoted
