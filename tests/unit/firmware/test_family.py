"""Versions in the names of Debian's real firmware packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.firmware.family import newest, relatives, version_of

NAMES = [line for line in (Path(__file__).parent / "names.txt").read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("iwlwifi-cc-a0-59.ucode", "iwlwifi-cc-a0-77.ucode"),
        ("iwlwifi-9260-th-b0-jf-b0-38.ucode", "iwlwifi-9260-th-b0-jf-b0-46.ucode"),
        ("iwlwifi-bz-b0-fm-c0-93.ucode", "iwlwifi-bz-b0-fm-c0-97.ucode"),
        ("rtl_nic/rtl8168h-1.fw", "rtl_nic/rtl8168h-2.fw"),
        ("rtl_nic/rtl8153a-3.fw", "rtl_nic/rtl8153a-4.fw"),
        ("rtw89/rtw8922a_fw-1.bin", "rtw89/rtw8922a_fw-3.bin"),
        ("cxgb3/t3fw-7.4.0.bin", "cxgb3/t3fw-7.12.0.bin"),  # numbers, not texts: 12 is more than 4
        ("bnx2x/bnx2x-e1h-7.13.1.0.fw", "bnx2x/bnx2x-e1h-7.13.21.0.fw"),
        ("qed/qed_init_values_zipped-8.42.2.0.bin", "qed/qed_init_values_zipped-8.59.1.0.bin"),
        ("i915/tgl_guc_69.0.3.bin", "i915/tgl_guc_70.bin"),
        ("i915/tgl_dmc_ver2_08.bin", "i915/tgl_dmc_ver2_12.bin"),
        ("r8a779x_usb3_v1.dlmem", "r8a779x_usb3_v3.dlmem"),
        ("ath10k/QCA6174/hw3.0/firmware-4.bin", "ath10k/QCA6174/hw3.0/firmware-6.bin"),
        # The newest there is.
        ("iwlwifi-cc-a0-77.ucode", None),
        ("iwlwifi-3945-2.ucode", None),
        ("rtl_nic/rtl8105e-1.fw", None),
        ("i915/tgl_guc_70.1.1.bin", None),  # 70 is any 70: neither is newer
        # Numbers of chips, of blocks of a chip and of boards, stages and channels.
        ("intel/ibt-19-0-0.sfi", None),
        ("intel/ibt-0040-0041.sfi", None),
        ("moxa/moxa-1110.fw", None),
        ("amdgpu/vcn_4_0_0.bin", None),
        ("amdgpu/gc_11_0_0_mes1.bin", None),
        ("amdgpu/polaris10_pfp.bin", None),
        ("amdgpu/psp_13_0_0_ta.bin", None),
        ("TAS2XXX103C8DE8-0.bin", None),
        ("qca/nvm_usb_00130200_0104.bin", None),
        ("ar3k/ramps_0x01020201_26.dfu", None),
        ("brcm/brcmfmac43455-sdio.pine64,rockpro64-v2.0.txt", None),
        ("go7007/s2250-1.fw", None),
        ("tigon/tg3.bin", None),
    ],
)
def test_the_newest_version_of_real_firmware(name: str, found: str | None) -> None:
    assert name in NAMES
    assert newest(name, NAMES) == found


def test_a_chips_letter_is_no_version() -> None:
    assert version_of("rtl_nic/rtl8168d-2.fw") != version_of("rtl_nic/rtl8168e-2.fw")
    assert relatives("rtl_nic/rtl8168d-2.fw", NAMES) == ["rtl_nic/rtl8168d-1.fw"]


def test_versions_with_a_letter_are_in_their_order() -> None:
    names = [f"bnx2/bnx2-mips-09-{version}.fw" for version in ("6.2.1", "6.2.1a", "6.2.1b")]
    assert relatives(names[0], names) == [names[2], names[1]]
    assert newest(names[2], names) is None


@pytest.mark.parametrize("name", ["", "a", "/", "-1.fw", "a-1", "a-.fw", "x-99999999999999999999.99.bin", "a/-1.bin"])
def test_odd_names_break_nothing(name: str) -> None:
    assert newest(name, [*NAMES, name]) is None
