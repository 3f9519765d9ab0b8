"""Which kernel, org and compiler a checkout stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import InputError
from builder.importing import kernel
from builder.importing.firmware import debian_packages
from builder.importing.layout import read_checkout
from builder.stages.dotconfig import parse_config
from tests.unit.importing.checkouts import ARCHES, FLAT, config, write_checkout

HEAD = "1" * 40


def version(root: Path, *configs: str, given: str | None = None) -> tuple[str, str]:
    named = [(f"config/{number}", text.encode()) for number, text in enumerate(configs)]
    found = kernel.kernel_version(read_checkout(root), named, given)
    return found.value, found.where


def test_what_the_command_line_says_wins(tmp_path: Path) -> None:
    assert version(write_checkout(tmp_path, FLAT), given="v6.1.2")[0] == "6.1.2"
    with pytest.raises(InputError, match=r"'6\.1-rc1' is not a release") as error:
        version(tmp_path, given="6.1-rc1")
    assert "--kernel" in error.value.hint


def test_then_what_a_script_says(tmp_path: Path) -> None:
    assert version(write_checkout(tmp_path, FLAT), config("4.9.2")) == ("4.8.17", "KERNEL_TAG in Dockerfile.dapper:3")


def test_then_a_tag_of_the_same_series(tmp_path: Path) -> None:
    tags = [
        f"{HEAD} refs/tags/{tag}\n"
        for tag in ("v6.12.9-acme", "v6.12.30-acme", "v5.10.248-acme", "v7.0.1-acme", "v7", "x-6.12.40-y")
    ]
    write_checkout(tmp_path, ARCHES, **{".git/HEAD": HEAD, ".git/packed-refs": "".join(tags)})
    assert version(tmp_path, config("6.12.21")) == ("6.12.30", "the git tag v6.12.30-acme")


@pytest.mark.parametrize(
    ("header", "found", "where"),
    [
        ("6.12.21", "6.12.21", "the header of config/0"),
        ("6.12.0", "6.12", "the header of config/0"),
        ("4.2.8-ckt3", "4.2.8", "the header of config/0, which says 4.2.8-ckt3"),
    ],
)
def test_then_the_header_of_a_config(tmp_path: Path, header: str, found: str, where: str) -> None:
    write_checkout(tmp_path, ARCHES)
    assert version(tmp_path, config(header)) == (found, where)
    assert version(tmp_path, "CONFIG_A=y\n", config(header))[0] == found
    assert version(tmp_path, config(header).replace("\n", "\r\n")) == (found, where)


def test_a_kernel_that_nothing_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing in the checkout says which kernel") as error:
        version(write_checkout(tmp_path, ARCHES), "CONFIG_A=y\n")
    assert "KERNEL_TAG=6.12.64" in error.value.hint


@pytest.mark.parametrize(
    ("repo", "suffixes", "org"), [("acme", ["x"], "acme"), ("Acme Inc", ["x"], "x"), ("a/b", ["A", "edge"], "edge")]
)
def test_the_org(tmp_path: Path, repo: str, suffixes: list[str], org: str) -> None:
    write_checkout(tmp_path, FLAT, **{"Dockerfile.dapper": f'FROM x\nARG OS_REPO="{repo}"\n'})
    assert kernel.org(read_checkout(tmp_path), suffixes).value == (org if repo != "Acme Inc" else "x")


def test_no_org(tmp_path: Path) -> None:
    write_checkout(tmp_path, FLAT, **{"Dockerfile.dapper": "FROM x\n"})
    with pytest.raises(InputError, match="whose images") as error:
        kernel.org(read_checkout(tmp_path), ["Not An Org"])
    assert "OS_REPO" in error.value.hint


@pytest.mark.parametrize(
    ("image", "options", "version", "suite", "where"),
    [
        ("gcc:14.4-trixie", "", "6.12.1", "trixie", "gcc:14.4-trixie"),
        ("acme/kernel-builder:gcc-14.2.0-3", "", "6.12.1", "trixie", "kernel-builder"),
        ("gcc:13.1", "", "6.1.1", "bookworm", "gcc:13.1"),
        ("gcc:7.4.0", "", "4.14.1", "bullseye", "older than any that Debian supplies"),
        ("ubuntu:22.04", "CONFIG_GCC_VERSION=110400\n", "5.10.1", "bullseye", "gcc 11 (CONFIG_GCC_VERSION)"),
        ("ubuntu:16.04", "", "4.9.1", "bullseye", "Linux 4.9"),
        ("debian", "", "6.1.1", "bookworm", "Linux 6.1"),
        ("debian", "", "6.12.1", "trixie", "Linux 6.12"),
    ],
)
def test_the_compiler(tmp_path: Path, image: str, options: str, version: str, suite: str, where: str) -> None:
    write_checkout(tmp_path, FLAT, **{"Dockerfile.dapper": f"FROM {image}\n"})
    found = kernel.suite(read_checkout(tmp_path), parse_config(f"CONFIG_A=y\n{options}", "c"), version)
    assert found.value == suite
    assert where in found.where


def test_packages_that_options_need() -> None:
    options = parse_config("CONFIG_MODULE_SIG=y\nCONFIG_DEBUG_INFO_BTF=y\n# CONFIG_GCC_PLUGINS is not set\n", "c")
    assert kernel.packages(options, 12) == {"dwarves": "CONFIG_DEBUG_INFO_BTF", "openssl": "CONFIG_MODULE_SIG"}
    plugins = kernel.packages(parse_config("CONFIG_GCC_PLUGINS=y\n", "c"), 12)
    assert list(plugins) == ["g++", "gcc-12-plugin-dev"]


def test_packages_of_firmware() -> None:
    paths = ["rtl_nic/rtl8168h-2.fw", "e100/d101m_ucode.bin", "acenic/tg1.bin", "bnx2x/bnx2x-e1-7.13.21.0.fw"]
    found = debian_packages(paths, "trixie")
    assert found.packages == ("firmware-bnx2x", "firmware-intel-misc", "firmware-realtek")
    assert found.unknown == ("acenic/tg1.bin",)
    assert "firmware-misc-nonfree" in debian_packages(paths, "bookworm").packages
