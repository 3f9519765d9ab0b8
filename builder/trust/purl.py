"""Names of what a release is made of: package URLs (https://github.com/package-url/purl-spec) and CPE names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote


def purl(kind: str, name: str, version: str | None = None, qualifiers: Mapping[str, str] | None = None) -> str:
    """A package URL.

    Args:
        kind: Its type, with its namespace where it has one (`deb/debian`, `oci`, `generic`).
        qualifiers: Their values are encoded here; the keys come out sorted.
    """
    at = f"@{_quoted(version)}" if version else ""
    more = "&".join(f"{key}={_quoted(value)}" for key, value in sorted((qualifiers or {}).items()) if value)
    return f"pkg:{kind}/{_quoted(name)}{at}{'?' + more if more else ''}"


def debian(package: str, version: str | None, suite: str) -> str:
    """The package URL of a Debian package; the namespace is Debian's, whose suites a toolchain comes from."""
    return purl("deb/debian", package, version, {"distro": suite})


def kernel_cpe(version: str) -> str | None:
    """The name by which vulnerability databases know a kernel release (NIST IR 7695); None for one that has none."""
    return f"cpe:2.3:o:linux:linux_kernel:{version}:*:*:*:*:*:*:*" if re.fullmatch(r"\d+(\.\d+)+", version) else None


def _quoted(text: str) -> str:
    """Text with all but the characters that a package URL keeps (a colon is one of them) encoded."""
    return quote(text, safe=".-_~:")
