"""What is read of a dkms.conf, which is a shell script: plain assignments, and nothing is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.stages.dkms import Dkms, read_dkms

WRITEBOOST = """\
PACKAGE_NAME="dm-writeboost"
PACKAGE_VERSION="2.2.17"

# dm-writeboost builds on top of dm features introduced in Linux 3.9
BUILD_EXCLUSIVE_KERNEL_MIN="3.9"

MAKE="make all KERNEL_TREE=$kernel_source_dir V=1"
CLEAN="make clean"

BUILT_MODULE_NAME="dm-writeboost"
DEST_MODULE_LOCATION="/kernel/drivers/md"
AUTOINSTALL="yes"
"""
VHBA = 'PACKAGE_NAME="vhba"\nPACKAGE_VERSION=20250329\nBUILT_MODULE_NAME[0]="vhba"\nAUTOINSTALL="yes"\n'
SEVERAL = """\
PACKAGE_NAME='nic' # ours
PACKAGE_VERSION=1.0
BUILT_MODULE_NAME[0]="${PACKAGE_NAME}"
BUILT_MODULE_NAME[1]="${PACKAGE_NAME}_aux"
MAKE[0]="'make' -j$(nproc) \\
    KVER=$kernelver CONFIG_NIC=m EXTRA=-O2 M=/etc CC=clang"
"""
HOSTILE = 'BUILT_MODULE_NAME="$(touch /tmp/x)"\nMAKE="make A=`id` B=$(id) C=\\"x y\\" D=ok"\nPACKAGE_VERSION="$(id)"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (WRITEBOOST, Dkms(modules=("dm-writeboost",), version="2.2.17")),
        (VHBA, Dkms(modules=("vhba",), version="20250329")),
        (SEVERAL, Dkms(modules=("nic", "nic_aux"), version="1.0", variables={"CONFIG_NIC": "m", "EXTRA": "-O2"})),
        ('PACKAGE_NAME="one"\n', Dkms(modules=("one",))),
        (HOSTILE, Dkms()),
        ("if true; then\nfi\n\0\xff", Dkms()),
    ],
    ids=["dm-writeboost", "vhba", "several", "default", "hostile", "nothing"],
)
def test_dkms_files(tmp_path: Path, text: str, expected: Dkms) -> None:
    (tmp_path / "dkms.conf").write_text(text)
    assert read_dkms(tmp_path / "dkms.conf") == expected


def test_none(tmp_path: Path) -> None:
    assert read_dkms(tmp_path / "dkms.conf") == Dkms()
