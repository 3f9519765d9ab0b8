"""Checksums of kernel.org's tarballs that need no look-up.

Source: `sha256sums.asc` in the folders v4.x, v5.x and v6.x of https://cdn.kernel.org/pub/linux/kernel/, signed by the
checksum autosigner (B8868C80BA62A1FFFAF5FDA9632D3A06589DA6B1).
"""

from __future__ import annotations

from collections.abc import Mapping

TARBALLS: Mapping[str, str] = {
    "4.4.104": "b0e8f2de6c1f2fd38272dcea620d915f40a867a9ab861464c770cf88bc220c2e",
    "4.9.248": "4687268061c9933c298b30d28e4bf1a30dfbab7c0da4bee194968e4f81ffeccf",
    "4.14.183": "4265afef56819b04656107a5abecde205c5bc5fb04b2e81447955e7e45db8085",
    "5.10.247": "70c8b87ba1fcd8bfa663661934dc9bda92d0b5f3c0fc3197bb56399f69d9fe0c",
    "5.15.197": "fd218df8e2107a4443b6c29fef7f95aad167031e0fbdbc7a858ae8471360668a",
    "6.1.159": "1f207ebe93980829ecc0a18b694816f22b715e9893767731651969a168342b9e",
    "6.6.119": "3da09b980bb404cc28793479bb2d6c636522679215ffa65a04c893575253e5e8",
    "6.12.64": "d1ad94a33681148efe884f4028970d69e332f2b003f0e8be53a1d25de38e49a2",
    "6.18.45": "30fa4a56579ca614ac125a12614f7f6466f87ab1278aef7b951dd74156deab33",
}
"""Release to SHA-256 of its `linux-RELEASE.tar.xz`."""
