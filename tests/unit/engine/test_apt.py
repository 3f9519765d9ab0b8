"""Sources of apt in both forms, and what apt-get is told. apt-get is a shell script here."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.engine import apt
from builder.errors import EngineError

ENTRIES = """\
|  |main|/etc/apt/sources.list.d/broken.list:1
Docker|bookworm|stable|/etc/apt/sources.list.d/docker.list:1
Other|bookworm|main|/etc/apt/sources.list.d/other.list:1
Debian|bookworm|non-free-firmware|/etc/apt/sources.list.d/debian.sources:1
Debian|bookworm|main|/etc/apt/sources.list.d/debian.sources:2
Debian|bookworm-security|main|/etc/apt/sources.list.d/debian.sources:3
"""

DEB822 = """\
# Debian's own mirror,
# as the installer wrote it

Types: deb deb-src
URIs: mirror+file:/etc/apt/mirrors.list
# all of it
Suites: bookworm bookworm-updates
Components: main non-free-firmware
Signed-By:
 /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
Check-Valid-Until: no
"""


def test_the_entry_is_debians_own_main() -> None:
    assert apt.find_entry(ENTRIES, "bookworm") == (Path("/etc/apt/sources.list.d/debian.sources"), 2)
    assert apt.find_entry(ENTRIES, "trixie") is None
    assert apt.find_entry("", "bookworm") is None


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("deb http://mirror.example/debian bookworm main contrib", "deb http://mirror.example/debian trixie main\n"),
        (
            "  deb [arch=amd64 signed-by=/k.gpg] mirror+file:/m bookworm main",
            "deb [arch=amd64 signed-by=/k.gpg] mirror+file:/m trixie main\n",
        ),
        (
            "deb\t[ trusted=yes ]\tfile:/srv/debian\tbookworm\tmain # local",
            "deb [ trusted=yes ]\tfile:/srv/debian trixie main\n",
        ),
    ],
)
def test_one_line_form(line: str, result: str) -> None:
    assert apt.with_suite(f"# a comment\n\n{line}\n", 3, False, "trixie") == ("list", result)


def test_deb822_form() -> None:
    assert apt.with_suite(DEB822, 1, True, "trixie") == (
        "sources",
        "Types: deb\nSuites: trixie\nComponents: main\nURIs: mirror+file:/etc/apt/mirrors.list\n"
        "Signed-By:\n /usr/share/keyrings/debian-archive-keyring.gpg\n",
    )
    assert apt.with_suite(DEB822, 2, True, "trixie")[1].endswith(
        "URIs: http://mirror.example/security\nCheck-Valid-Until: no\n"
    )


@pytest.mark.host_programs
class TestAptGet:
    @pytest.fixture
    def script(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        path = tmp_path / "apt-get"
        path.touch(mode=0o755)
        return path

    def test_update_returns_complaints(self, script: Path) -> None:
        script.write_text(
            "#!/bin/sh\necho Hit:1; echo 'W: Failed to fetch x' >&2; echo noise >&2; echo 'E: y' >&2; exit 100"
        )
        assert apt.update() == ["W: Failed to fetch x", "E: y"]

    def test_install_asks_nothing_and_waits_for_the_lock(self, script: Path) -> None:
        script.write_text(f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*" > {script.parent}/said')
        apt.install(["docker.io/trixie", "tini"])
        said = (script.parent / "said").read_text()
        assert said.startswith("noninteractive -q -o DPkg::Lock::Timeout=120 ")
        assert said.endswith(" install -y --no-install-recommends docker.io/trixie tini\n")

    def test_a_failure_shows_what_update_complained_about_too(self, script: Path) -> None:
        script.write_text("#!/bin/sh\necho 'E: Unable to locate package tini' >&2; exit 100")
        with pytest.raises(EngineError) as caught:
            apt.install(["tini"], complaints=["W: Failed to fetch x"])
        assert caught.value.what == "apt-get could not install tini"
        assert caught.value.details == ("W: Failed to fetch x", "E: Unable to locate package tini")
        assert "apt-get update" in caught.value.hint
