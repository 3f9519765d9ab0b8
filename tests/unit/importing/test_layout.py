"""What is read of a checkout, in each of its layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import InputError
from builder.importing.layout import ArchFiles, read_checkout
from tests.unit.importing.checkouts import ARCHES, BARE, FLAT, write_checkout


def test_a_folder_for_each_architecture(tmp_path: Path) -> None:
    checkout = read_checkout(write_checkout(tmp_path, ARCHES))
    assert list(checkout.arches) == ["arm64", "mips", "x86"]
    assert checkout.arches["x86"] == ArchFiles(
        name="x86",
        config="config/x86/kernel-config",
        modules="modules/x86/modules.list",
        extra="modules/x86/modules-extra.list",
        firmware="firmware/x86/firmware",
        patches=("patches/x86/main.patch",),
    )
    assert checkout.hooks == ("scripts/hooks/01-driver",)
    assert set(checkout.files) == set(ARCHES)


def test_what_the_scripts_set(tmp_path: Path) -> None:
    checkout = read_checkout(write_checkout(tmp_path, ARCHES))
    found = {name: (setting.value, setting.where) for name, setting in checkout.settings.items()}
    assert found == {
        "OS_REPO": ("acme", "Dockerfile.dapper:5"),
        "FIRMWARE_TAG": ("20240101", "Dockerfile.dapper:8"),
        "KERNEL_URL": ("https://cdn.kernel.org/pub/linux/kernel/v6.x/", "Dockerfile.dapper:11"),
    }
    assert checkout.image
    assert checkout.image.value == "gcc:12.5.0"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("ENV KERNEL_TAG=4.8.17", "4.8.17"),
        ("ENV KERNEL_TAG 4.8.17", "4.8.17"),
        ('ARG KERNEL_TAG="4.8.17"', "4.8.17"),
        ("export KERNEL_TAG=4.8.17", "4.8.17"),
        (': ${KERNEL_TAG:="4.8.17"}', "4.8.17"),
        ("    KERNEL_TAG=4.8.17 \\", "4.8.17"),
        ("ARG KERNEL_TAG", None),
        ("ENV KERNEL_TAG=${KERNEL_TAG}", None),
        ("# ENV KERNEL_TAG=4.8.17", None),
        ('echo "KERNEL_TAG=4.8.17 make"', None),
    ],
)
def test_a_line_that_sets_something(tmp_path: Path, line: str, value: str | None) -> None:
    write_checkout(tmp_path, BARE, **{"Dockerfile.dapper": f"FROM ubuntu\n{line}\n"})
    setting = read_checkout(tmp_path).settings.get("KERNEL_TAG")
    assert (setting.value if setting else None) == value


@pytest.mark.parametrize("files", [FLAT, BARE])
def test_the_layouts_of_x86_alone(tmp_path: Path, files: dict[str, str]) -> None:
    checkout = read_checkout(write_checkout(tmp_path, files))
    assert list(checkout.arches) == ["x86"]
    assert set(checkout.arches["x86"].files) == set(files) - {"Dockerfile.dapper", "scripts/build-common"}


def test_what_builds_leave_is_no_part_of_it(tmp_path: Path) -> None:
    write_checkout(tmp_path, FLAT, **{"dist/kernel/config": "x", ".git/HEAD": "x", "lists/x86/modules.list": ""})
    (tmp_path / "linux-firmware").mkdir()
    checkout = read_checkout(tmp_path)
    assert checkout.built == ("dist",)
    assert set(checkout.files) == set(FLAT)


@pytest.mark.parametrize(
    ("without", "what"),
    [("config/kernel-config", "it has no config/ARCH/kernel-config"), ("scripts/build-common", "it has neither")],
)
def test_no_checkout(tmp_path: Path, without: str, what: str) -> None:
    write_checkout(tmp_path, {**FLAT, **dict.fromkeys(["Dockerfile.dapper"], "")})
    (tmp_path / without).unlink()
    (tmp_path / "Dockerfile.dapper").unlink()
    with pytest.raises(InputError, match=what) as error:
        read_checkout(tmp_path)
    assert error.value.hint


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        read_checkout(tmp_path / "none")


def test_links(tmp_path: Path) -> None:
    root = write_checkout(tmp_path / "checkout", FLAT)
    (tmp_path / "secret").write_text("secret")
    (root / "modules.list").rename(root / "common.list")
    (root / "modules.list").symlink_to("common.list")
    (root / "modules-extra.list").unlink()
    (root / "modules-extra.list").symlink_to("../secret")
    (root / "loop").symlink_to(".")
    checkout = read_checkout(root)
    assert checkout.read("modules.list") == FLAT["modules.list"].encode()
    assert "loop" in checkout.files
    with pytest.raises(InputError, match="the link leads out of the checkout"):
        checkout.read("modules-extra.list")
    with pytest.raises(InputError, match="this is no file"):
        checkout.read("loop")
