"""A small release for reports, as `rosk build` leaves it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.unit.stages.elfs import write_module

V = "6.12.64-acme"
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><!--"

MODULES: Mapping[str, Mapping[str, Any]] = {
    "kernel/fs/btrfs/btrfs.ko": {"depends": "libcrc32c,xor", "softdep": "pre: blake2b-256", "license": "GPL"},
    "kernel/lib/libcrc32c.ko": {"license": "GPL"},
    "kernel/crypto/xor.ko": {"license": "GPL"},
    "kernel/drivers/net/tun.ko": {"license": "GPL"},
    "kernel/drivers/net/wireless/iwlwifi.ko": {
        "depends": "libcrc32c",
        "firmware": ["iwlwifi-1.ucode", "intel/iwlwifi-2.ucode"],
        "license": "GPL",
    },
    "updates/own.ko": {"license": "Proprietary"},
}
"""Path to `.modinfo`; iwlwifi is in the extras package."""

OPTIONS = {
    "kernel/fs/btrfs/btrfs.ko": "CONFIG_BTRFS_FS",
    "kernel/drivers/net/tun.ko": "CONFIG_TUN",
    "kernel/drivers/net/wireless/iwlwifi.ko": "CONFIG_IWLWIFI",
}

CONFIG = (
    'CONFIG_64BIT=y\nCONFIG_BTRFS_FS=m\n# CONFIG_DEBUG_INFO is not set\nCONFIG_HZ=250\nCONFIG_LOCALVERSION="-acme"\n'
)


def write_release(root: Path) -> Path:
    """Write a release of both packages with a manifest into `root`, and return that."""
    kernel, tree = root / "kernel", root / "tree"
    kernel.mkdir(parents=True)
    for path, fields in MODULES.items():
        write_module(tree / package_of(path), path, **fields)
    extra = {"./boot/vmlinuz-" + V: b"k" * 9000, "./lib/firmware/iwlwifi-1.ucode": b"f" * 700}
    extra["./lib/firmware/.git-commit"] = b"20250101\n"
    _pack(kernel / f"linux-{V}-x86.tar.gz", tree / "main", extra)
    _pack(kernel / f"extra-linux-{V}-x86.tar.gz", tree / "extra", {})
    (kernel / "config").write_text(CONFIG)
    outputs = {f"kernel/{path.name}": {"size": path.stat().st_size, "sha256": _sum(path)} for path in kernel.iterdir()}
    write_json(
        root / "manifest.json",
        {
            "release": V,
            "arch": "x86",
            "source_date_epoch": 1735689600,
            "reproduce": ["rosk", "build", "--arch", "x86"],
            "source": {"kind": "kernel.org", "from": "kernel.org 6.12.64", "kernel_version": "6.12.64"},
            "toolchain": {"base": "rosk-base:trixie", "base_digest": "sha256:1", "packages": {"gcc": "4:14.2.0-1"}},
            "inputs": {"config/kernel-config": {"size": 20, "sha256": "0a"}},
            "outputs": outputs,
            "images": {f"acme/os-kernel:{V}": "sha256:2"},
            "firmware": {"revision": "20250101"},
            "settings": {"org": "acme"},
        },
    )
    return root


def package_of(path: str) -> str:
    """The package of a module of `MODULES`."""
    return "extra" if "iwlwifi" in path else "main"


def build_facts(modules: Mapping[str, Mapping[str, Any]] | None = None, **changed: Any) -> dict[str, Any]:
    """What `build.json` says; `modules` are those of `MODULES` when not given."""
    named = {
        path: {
            "package": package_of(path),
            "size": 1_500_000 if "btrfs" in path else 20_000,
            "depends": [
                found for name in fields.get("depends", "").split(",") for found in MODULES if f"/{name}." in found
            ],
            "firmware": fields.get("firmware", []),
            "license": fields["license"],
            "listed": True,
            "option": OPTIONS.get(path),
        }
        for path, fields in MODULES.items()
    }
    asked = {"CONFIG_BTRFS_FS": {"value": "m", "where": "config/x86/kernel-config", "line": 3}}
    asked["CONFIG_HZ"] = {"value": "1000", "where": "config/x86/kernel-config", "line": 4}
    defaults = {
        "by": "make alldefconfig",
        "values": {"CONFIG_64BIT": "y", "CONFIG_DEBUG_INFO": "y", "CONFIG_HZ": "250"},
    }
    return {
        "key": "a key",
        "stages": [
            {"name": "toolchain", "title": "toolchain", "state": "cached"},
            {
                "name": "headers",
                "title": "headers",
                "state": "ran",
                "started": 0,
                "ended": 95,
                "busy": [[0, 1], [90, 95]],
            },
            {"name": "compile", "title": "compile", "state": "ran", "started": 1, "ended": 90, "busy": [[1, 90]]},
        ],
        "notices": [{"kind": "module-not-built", "what": "a.ko was not built", "where": "lists/x86/modules.list:2"}],
        "compiled": {"objects": 3319, "compiler_cache": {"calls": 10, "direct_cache_hit": 4}},
        "modules": named if modules is None else modules,
        "config": {"form": "minimal", "changed": {"CONFIG_HZ": "250"}, "asked": asked, "defaults": defaults},
        **changed,
    }


VERIFY = {
    "checks": [
        {"name": "vermagic", "status": "ok", "saw": "6 modules", "meaning": "they do not load", "details": []},
        {
            "name": "modules-dep",
            "status": "failed",
            "saw": "wrong: 1",
            "meaning": "no modprobe",
            "details": ["a.ko: b"],
        },
    ]
}
BOOT = {
    "ok": False,
    "seconds": 4.5,
    "accel": "tcg",
    "diagnosis": {"what": "1 module does not fit this kernel", "details": ["own: Exec format error"], "hint": "see it"},
    "checks": [{"name": "overlayfs", "ok": True, "why": ""}, {"name": "cgroup", "ok": False, "why": "no mount"}],
    "modules": [
        {"path": "kernel/drivers/net/tun.ko", "outcome": "no device", "why": "ENODEV"},
        {"path": "kernel/crypto/xor.ko", "outcome": "loaded", "why": ""},
    ],
}


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def _pack(package: Path, tree: Path, files: Mapping[str, bytes]) -> None:
    found = {f"./lib/modules/{V}/{path.relative_to(tree)}": path.read_bytes() for path in tree.rglob("*.ko")}
    with tarfile.open(package, "w:gz") as tar:
        for name, content in {**files, **found}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
