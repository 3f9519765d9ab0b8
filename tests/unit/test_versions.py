from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from builder.cli import versions as _versions  # noqa: F401 - hangs the command on the app
from builder.cli.app import app
from builder.errors import FetchError
from builder.inputs.fetch import Patience
from builder.inputs.kept import age
from builder.project import load_project
from builder.versions import list_series, used_by
from tests.conftest import serving
from tests.unit.projects import write_project

PATIENCE = Patience(attempts=1, connect_timeout=2.0, read_timeout=2.0)


def entry(moniker: str, version: str, date: str, *, eol: bool = False) -> dict[str, Any]:
    """A release in the form of kernel.org's list, with keys that nothing here reads."""
    return {
        "iseol": eol,
        "version": version,
        "moniker": moniker,
        "source": None,
        "pgp": None,
        "released": {"timestamp": 1764547200, "isodate": date},
        "gitweb": "https://git.example.org/",
        "patch": {"full": None, "incremental": None},
    }


LIST = {
    "latest_stable": {"version": "6.18.1"},
    "releases": [
        entry("mainline", "6.19-rc1", "2025-12-14"),
        entry("mainline", "6.18", "2025-11-30"),
        entry("stable", "6.18.1", "2025-12-12"),
        entry("stable", "6.17.12", "2025-12-12", eol=True),
        entry("longterm", "6.12.66", "2025-12-12"),
        entry("linux-next", "next-20251219", "2025-12-19"),
    ],
}


class Site:
    """What the server answers, which tests change."""

    def __init__(self) -> None:
        self.status, self.body = 200, json.dumps(LIST).encode()
        self.asked = 0
        self.url = ""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server with the list, and an empty cache."""
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked += 1
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            self.wfile.write(found.body)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("ROSK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KERNEL_TAG", raising=False)
    with serving(Handler) as host:
        found.url = f"http://{host}/releases.json"
        yield found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


def settings(root: Path, kernel: str) -> Path:
    path = root / "config/rosk.yaml"
    path.write_text(path.read_text().replace('  source: kernel.org\n  version: "6.12.64"\n', kernel))
    return root


def used(root: Path, site: Site, kernel: str | None = None) -> Any:
    return used_by(load_project(root, arch="x86", kernel=kernel), list_series(site.url, patience=PATIENCE).series)


def rosk(root: Path, site: Site, *words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(
        app,
        ["versions", "-C", str(root), "--arch", "x86", *words],
        env={"ROSK_RELEASES_URL": site.url, "COLUMNS": "120"},
    )
    return done.exit_code, done.stdout, done.stderr


def test_the_series_of_the_list(site: Site) -> None:
    found = list_series(site.url, clock=lambda: 1000.0)
    assert [(each.name, each.kind, each.newest, each.eol) for each in found.series] == [
        ("6.19", "mainline", "6.19-rc1", False),
        ("6.18", "mainline", "6.18", False),
        ("6.18", "stable", "6.18.1", False),
        ("6.17", "stable", "6.17.12", True),
        ("6.12", "longterm", "6.12.66", False),
    ]
    assert (found.fetched, found.stale, found.series[0].released) == (1000.0, False, "2025-12-14")


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b""), (200, b"<!doctype html><p>log in"), (200, b'{"releases": 1}'), (200, b'{"releases": []}')],
)
def test_the_cache_stands_in_for_a_site_that_does_not_answer(site: Site, status: int, body: bytes) -> None:
    before = list_series(site.url, patience=PATIENCE, clock=lambda: 1000.0)
    site.status, site.body = status, body
    found = list_series(site.url, patience=PATIENCE, clock=lambda: 5000.0)
    assert (found.series, found.fetched, found.stale) == (before.series, 1000.0, True)
    assert found.why


def test_offline_asks_nobody(site: Site) -> None:
    list_series(site.url)
    found = list_series(site.url, offline=True)
    assert (found.stale, found.why, site.asked) == (True, "", 1)


def test_without_list_and_cache_it_is_a_fetch_error(site: Site) -> None:
    site.status = 404
    with pytest.raises(FetchError, match="cannot be had") as caught:
        list_series(site.url, patience=PATIENCE)
    assert (caught.value.exit_code, "--from URL" in caught.value.hint) == (4, True)
    assert "HTTP 404" in caught.value.details[0]
    with pytest.raises(FetchError):
        list_series(site.url, offline=True)


def test_a_damaged_cache_is_none(site: Site, tmp_path: Path) -> None:
    list_series(site.url)
    (kept,) = (tmp_path / "cache").rglob("releases.json")
    kept.write_bytes(kept.read_bytes()[:-20])
    with pytest.raises(FetchError, match="the cache's is damaged"):
        list_series(site.url, offline=True)


def test_the_cache_of_one_address_does_not_stand_in_for_another(site: Site) -> None:
    list_series(site.url)
    with pytest.raises(FetchError, match="the cache has none yet"):
        list_series(f"{site.url}?other", offline=True)


def test_a_release_of_kernel_org(site: Site, root: Path) -> None:
    found = used(root, site)
    assert (found.version, found.series, found.newest, found.behind, found.eol) == (
        "6.12.64",
        "6.12",
        "6.12.66",
        2,
        False,
    )
    assert not found.current
    assert used(root, site, kernel="6.12.66").current
    assert used(root, site, kernel="6.12").behind == 66
    assert used(root, site, kernel="6.18").behind == 1


def test_the_end_of_life(site: Site, root: Path) -> None:
    listed, gone = used(root, site, kernel="6.17.12"), used(root, site, kernel="6.11.11")
    assert (listed.behind, listed.eol, listed.current) == (0, True, False)
    assert (gone.newest, gone.eol, gone.current) == (None, True, False)
    assert not used(root, site, kernel="6.20").eol


def test_debians_source_is_known_by_its_series_until_it_is_built(site: Site, root: Path) -> None:
    settings(root, '  source: debian\n  version: "6.12"\n')
    found = used(root, site)
    assert (found.version, found.newest, found.behind, found.current) == ("6.12", "6.12.66", None, True)
    (root / "dist").mkdir()
    manifest = root / "dist/manifest.json"
    manifest.write_text(json.dumps({"source": {"kernel_version": "6.12.60", "from": "Debian's linux-source-6.12"}}))
    found = used(root, site)
    assert (found.version, found.behind, found.known_from) == ("6.12.60", 6, "the release in dist")
    manifest.write_text(json.dumps({"source": {"kernel_version": "6.1.60", "from": "Debian's linux-source-6.1"}}))
    assert used(root, site).version == "6.12"


def test_a_tree_and_an_archive(site: Site, root: Path) -> None:
    settings(root, "  source: tree\n  path: ../linux\n")
    assert used(root, site) is None
    (root.parent / "linux").mkdir()
    (root.parent / "linux/Makefile").write_text("VERSION = 6\nPATCHLEVEL = 19\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n")
    found = used(root, site)
    assert (found.version, found.newest, found.behind) == ("6.19.0-rc1", "6.19-rc1", None)
    path = root / "config/rosk.yaml"
    path.write_text(path.read_text().replace("tree\n  path: ../linux", "tarball\n  path: ../linux-6.18.tar.xz"))
    assert used(root, site).behind == 1


def test_the_command(site: Site, root: Path) -> None:
    code, out, err = rosk(root, site)
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert ["6.12", "longterm", "6.12.66", "2025-12-12", "6.12.64"] in rows
    assert ["6.17", "stable", "6.17.12", "2025-12-12", "end", "of", "life"] in rows
    assert out.splitlines()[-2] == "the project builds 6.12.64 (from the settings): 2 releases behind 6.12.66"
    assert out.splitlines()[-1] == "compiled by gcc 14 of Debian 13 (trixie): named by toolchain.suite"
    assert rosk(root, site, "--exit-code")[0] == 1
    assert rosk(root, site, "--exit-code", "--kernel", "6.12.66")[0] == 0


def test_what_the_list_says_is_no_markup(site: Site, root: Path) -> None:
    odd = [entry("[/x]", "6.12.66", "[bold]\x1b[2J2025")]
    site.body = json.dumps({"releases": odd}).encode()
    code, out, _ = rosk(root, site)
    assert code == 0 and "[/x]" in out and "[bold]\\x1b[2J2025" in out


def test_the_command_says_how_old_its_list_is(site: Site, root: Path) -> None:
    rosk(root, site)
    assert rosk(root, site, "--offline")[2] == "from the cache, a moment old\n"


def test_json(site: Site, root: Path) -> None:
    rosk(root, site)
    code, out, err = rosk(root, site, "--offline", "--json")
    found = json.loads(out)
    assert (code, err, found["stale"], len(found["series"])) == (0, "", True, 5)
    assert found["project"] | {"known_from": ""} == {
        "version": "6.12.64",
        "series": "6.12",
        "known_from": "",
        "newest": "6.12.66",
        "behind": 2,
        "eol": False,
        "current": False,
    }
    assert found["fetched"].endswith("Z")
    assert found["toolchain"] == {
        "suite": "trixie",
        "compiler": "gcc",
        "why": "named by toolchain.suite",
        "auto": False,
    }


def test_outside_of_a_project_there_is_the_list(site: Site, tmp_path: Path) -> None:
    code, out, _ = rosk(tmp_path, site, "--exit-code")
    assert (code, out.splitlines()[-1].split()[0]) == (0, "6.12")
    assert json.loads(rosk(tmp_path, site, "--json")[1])["project"] is None


def test_ages() -> None:
    assert [age(seconds) for seconds in (5, 61, 3600, 7300, 86400 * 3)] == [
        "a moment",
        "1 minute",
        "1 hour",
        "2 hours",
        "3 days",
    ]
