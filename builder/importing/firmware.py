"""Which packages of Debian have the firmware that a list names.

os-kernel clones linux-firmware at a tag. rosk does not clone: Debian's packages are what it can get by itself, or a
linux-firmware release that the user has downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Looked up in the packages of Debian 12 (20230210-5) and 13 (20250410-2), section non-free-firmware, and main's
# firmware-linux-free. Whether a package has the very version that a list names is said by the build.
_PACKAGES: Mapping[str, str] = {
    r"bnx2/": "firmware-bnx2",
    r"bnx2x/": "firmware-bnx2x",
    r"brcm/": "firmware-brcm80211",
    r"ath\d+k/|ath9k_htc/|htc_\d+": "firmware-atheros",
    r"isci/|carl9170fw/|av7110/": "firmware-linux-free",
    r"iwlwifi-": "firmware-iwlwifi",
    r"ipw2\d00-": "firmware-ipw2x00",
    r"liquidio/|cavium/": "firmware-cavium",
    r"libertas/|mwl8k/|mrvl/": "firmware-libertas",
    r"myri10ge_|ethp_z8e|eth_z8e|rss_ethp_z8e|rss_eth_z8e": "firmware-myricom",
    r"netronome/": "firmware-netronome",
    r"phanfw\.bin|nx3fw": "firmware-netxen",
    r"ql2\d00_fw|ql2322_fw|ql8100_fw|qlogic/|qed/|ctfw-|ct2fw-|cbfw-": "firmware-qlogic",
    r"rtl_nic/|rtlwifi/|rtl_bt/|rtw8[89]/": "firmware-realtek",
    r"amdgpu/|radeon/": "firmware-amd-graphics",
    r"cxgb3/|cxgb4/|tigon/|cis/|dsp56k/|korg/|sxg/|tehuti/|ti_|vxge/|yam/": "firmware-misc-nonfree",
}
# Where Debian 13 has a package of its own, for what is in firmware-misc-nonfree before.
_SPLIT: Mapping[str, str] = {
    r"e100/|intel/ice/|intel/qat|qat_": "firmware-intel-misc",
    r"i915/": "firmware-intel-graphics",
    r"mediatek/|rt\d+\.bin|mt7\d+": "firmware-mediatek",
    r"nvidia/": "firmware-nvidia-graphics",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """Packages that have what a list names, in the order of their names; and the paths that none is known for."""

    packages: tuple[str, ...]
    unknown: tuple[str, ...]


def debian_packages(paths: Iterable[str], suite: str) -> Found:
    """The packages of a Debian suite (`bookworm`, `trixie`) for the lines of a firmware list."""
    known, unknown = set(), []
    for path in paths:
        package = _package(path, suite)
        if package is None:
            unknown.append(path)
        else:
            known.add(package)
    return Found(packages=tuple(sorted(known)), unknown=tuple(unknown))


def _package(path: str, suite: str) -> str | None:
    for pattern, package in _PACKAGES.items():
        if re.match(pattern, path):
            return package
    for pattern, package in _SPLIT.items():
        if re.match(pattern, path):
            return package if suite == "trixie" else "firmware-misc-nonfree"
    return None
