"""Small checkouts of an OS on disk for tests, one in each shape that the OSes have had."""

from __future__ import annotations

from pathlib import Path

HEAD = """\
FROM ubuntu:16.04
# ARG KERNEL_VERSION=0-in-a-comment
ENV DAPPER_ENV VERSION KERNEL_CHECK
ARG OS_REPO={org}
"""
TAIL = """\
ARG OS_SERVICES_REPO=https://raw.githubusercontent.com/${{OS_REPO}}/os-services
ENV KERNEL_VERSION={version} \\
    KERNEL_URL=KERNEL_URL_${{ARCH}} \\
    KERNEL_URL_amd64=${{KERNEL_URL_amd64}} \\
    OS_REPO=${{OS_REPO}}
RUN if {condition}; then \\
        curl -fL ${{!KERNEL_URL}} > ${{DOWNLOADS}}/kernel.tar.gz; \\
    fi
"""
UNLESS_EMPTY, UNLESS_SKIP = '[ -n "${!KERNEL_URL}" ]', '[ "${!KERNEL_URL}" != "skip" ]'

LITERAL = """\
ARG KERNEL_URL_amd64=https://old.example/linux-4.4.24-x86.tar.gz
ARG KERNEL_URL_arm64=https://old.example/linux-4.4.0-arm64.tar.gz
"""
AMD64 = """\
ARG KERNEL_VERSION_amd64=4.9.9-old
ARG KERNEL_URL_amd64=https://old.example/v${KERNEL_VERSION_amd64}/linux-${KERNEL_VERSION_amd64}-x86.tar.gz
ARG KERNEL_URL_arm64=https://old.example/linux-4.4.0-arm64.tar.gz
"""
SHARED = """\
ARG KERNEL_VERSION=4.14.138-old
ARG KERNEL_URL_amd64=https://old.example/v${KERNEL_VERSION}/linux-${KERNEL_VERSION}-x86.tar.gz
ARG KERNEL_URL_arm64=https://old.example/v${KERNEL_VERSION}/linux-${KERNEL_VERSION}-arm64.tar.gz
"""
LAYOUT = """\
if [ -e ${DAPPER_SOURCE}/assets/kernel.tar.gz ]; then
    cp ${DAPPER_SOURCE}/assets/kernel.tar.gz ${DOWNLOADS}/kernel.tar.gz
fi
"""
CHECK = """\
if [ "$KERNEL_CHECK" != "0" ]; then
{comment}    if [ $(uname -r) != $KERNEL_VERSION ] && ! version_gt $(uname -r) $KERNEL_VERSION; then
{comment}        exit 1
{comment}    fi
fi
"""


def _checkout(lines: str, *, org: str = "rancher", condition: str = UNLESS_EMPTY, version: str = "") -> str:
    return HEAD.format(org=org) + lines + TAIL.format(condition=condition, version=version)


RANCHER_0_5 = {
    "Dockerfile.dapper": _checkout(LITERAL),
    "scripts/layout": "tar xf ${DOWNLOADS}/kernel.tar.gz -C ${BUILD}/kernel\n",
}
RANCHER_0_8 = {
    "Dockerfile.dapper": _checkout(AMD64, version="${KERNEL_VERSION_amd64}"),
    "scripts/layout": LAYOUT,
    "scripts/build": "./build-target\n",
}
RANCHER_1_5 = {
    "Dockerfile.dapper": _checkout(SHARED, version="${KERNEL_VERSION}"),
    "scripts/layout": "./layout-kernel\n",
    "scripts/layout-kernel": LAYOUT,
    "scripts/build": CHECK.format(comment=""),
}
BURMILLA_1_9 = {
    "Dockerfile.dapper": _checkout(SHARED, org="burmilla", version="${KERNEL_VERSION}"),
    "scripts/layout-kernel": LAYOUT,
    "scripts/build": CHECK.format(comment="#"),
}
BURMILLA_2 = {
    "Dockerfile.dapper": _checkout(SHARED, org="burmilla", condition=UNLESS_SKIP, version="${KERNEL_VERSION}"),
    "scripts/layout-kernel": LAYOUT,
    "scripts/build": CHECK.format(comment="#"),
}
KERNEL = {
    "Dockerfile.dapper": "ARG OS_REPO=rancher\nENV KERNEL_URL=https://cdn.kernel.org/\n",
    "config/x86/kernel-config": "CONFIG_MODULES=y\n",
}


def write_checkout(root: Path, files: dict[str, str]) -> Path:
    """Write a checkout's files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "assets").mkdir(parents=True)
    return root


def values(root: Path, arch: str = "amd64") -> dict[str, str]:
    """What a build of the checkout takes for an architecture: the ARGs, expanded in their order as a Dockerfile is."""
    found: dict[str, str] = {}
    for line in (root / "Dockerfile.dapper").read_text().splitlines():
        if line.startswith("ARG "):
            name, _, value = line.removeprefix("ARG ").partition("=")
            for known, text in found.items():
                value = value.replace(f"${{{known}}}", text)
            found[name] = value
    version = next((found[name] for name in ("KERNEL_VERSION", f"KERNEL_VERSION_{arch}") if name in found), "")
    return {"version": version, "url": found[f"KERNEL_URL_{arch}"], "OS_REPO": found["OS_REPO"]}
