"""Small checkouts of os-kernel on disk for tests, one of each layout."""

from __future__ import annotations

from pathlib import Path

PATCH = "--- a/init/main.c\n+++ b/init/main.c\n@@ -1 +1 @@\n-x\n+y\n"

DAPPER = """\
FROM gcc:12.5.0
RUN apt-get update \\
    && apt-get install -y ccache vim \\
        u-boot-tools bc
ARG OS_REPO=acme
ARG KERNEL_TAG
ARG KERNEL_VERSION=${KERNEL_TAG}-${OS_REPO}
ARG FIRMWARE_TAG=20240101
ENV OS_REPO=${OS_REPO} \\
    KERNEL_TAG=${KERNEL_TAG} \\
    KERNEL_URL=https://cdn.kernel.org/pub/linux/kernel/v6.x/
#ENV KERNEL_URL=https://testing.example/
RUN curl -fL ${!DOCKER_URL} > /usr/bin/docker && \\
    chmod +x /usr/bin/docker
"""

COMMON = """\
if [[ "$KERNEL_TAG" == "" ]]; then
    echo "       e.g., KERNEL_TAG=4.9.10 make release"
fi
tar cf firmware-extra.tar -C linux-firmware .
"""


def config(version: str, arch: str = "x86", *, suffix: str = "-acme", more: str = "") -> str:
    """A kernel's config."""
    return (
        f"#\n# Automatically generated file; DO NOT EDIT.\n# Linux/{arch} {version} Kernel Configuration\n#\n"
        f'CONFIG_LOCALVERSION="{suffix}"\nCONFIG_MODULES=y\n{more}'
    )


ARCHES = {
    "Dockerfile.dapper": DAPPER,
    "Makefile": "ci:\n\t./.dapper ci\n",
    "README.md": "# Kernel\n",
    "config/x86/kernel-config": config("6.12.21", more="CONFIG_MODULE_SIG=y\n"),
    "config/arm64/kernel-config": config("6.12.1", "arm64"),
    "config/mips/kernel-config": config("6.12.1", "mips"),
    "firmware/arm64/firmware": "tigon/tg3.bin",
    "firmware/mips/firmware": "tigon/tg3.bin",
    "firmware/x86/firmware": "acenic/tg1.bin\nrtl_nic/rtl8168h-2.fw\ntigon/tg3.bin",
    "images/10-extras/Dockerfile": "FROM alpine\n",
    "modules/arm64/modules-extra.list": "kernel/fs/xfs/xfs.ko\n",
    "modules/arm64/modules.list": "kernel/fs/overlayfs/overlay.ko\n",
    "modules/mips/modules-extra.list": "",
    "modules/mips/modules.list": "kernel/a.ko\nkernel/b.ko\n",
    "modules/x86/modules-extra.list": "kernel/fs/xfs/xfs.ko\nkernel/net/ipv4/udp_tunnel.ko\n",
    "modules/x86/modules.list": "kernel/fs/overlayfs/overlay.ko\n",
    "patches/README.md": "put your Patch files in here.\n",
    "patches/x86/main.patch": PATCH,
    "scripts/build-common": COMMON,
    "scripts/hooks/01-driver": "#!/bin/bash\n# of /source\ncp /dev/null drivers/acme.c\n",
}
"""The layout of 4.14 to 6.12."""

FLAT = {
    "Dockerfile.dapper": "FROM ubuntu:16.04\nARG OS_REPO=acme\nENV KERNEL_TAG=4.8.17\n",
    "config/kernel-config": config("4.9.2", suffix="-acme-edge"),
    "modules-extra.list": "kernel/fs/xfs/xfs.ko\nkernel/fs/overlayfs/overlay.ko\n",
    "modules.list": "kernel/fs/overlayfs/overlay.ko\nkernel/fs/overlayfs/overlay.ko\n",
    "patches/main.patch": PATCH,
    "scripts/build-common": COMMON,
    "scripts/firmware": "rtl_nic/rtl8168h-2.fw\n",
}
"""The layout of 4.8 to 4.18, for x86 alone."""

BARE = {
    "Dockerfile.dapper": "FROM ubuntu:14.04\n",
    "config/kernel-config": config("4.2.8-ckt3"),
    "scripts/build-common": ': ${KERNEL_URL:="https://example.org/linux/Ubuntu-4.2.0.tar.gz"}\n',
    "scripts/firmware": "tigon/tg3.bin\n",
}
"""The layout of 4.2: no module lists."""


def write_checkout(root: Path, files: dict[str, str], **changed: str | None) -> Path:
    """Write a checkout; `changed` replaces, adds or (None) leaves out files. Hooks are executable."""
    for name, text in {**files, **changed}.items():
        if text is None:
            continue
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name.startswith("scripts/hooks/"):
            path.chmod(0o755)
    return root
