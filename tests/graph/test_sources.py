"""The other ways to a kernel source, through the command: a kernel.org version from mirrors, and a local tarball."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from tests import contract
from tests.conftest import run_rosk, serving
from tests.graph.conftest import VERSION, FakeProject, use

pytestmark = pytest.mark.engine


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The address of a loopback server that serves a folder."""
    with serving(functools.partial(Quiet, directory=str(folder))) as address:
        yield f"http://{address}"


def kernel_org(fake: FakeProject, digest: str, *mirrors: str) -> None:
    use(fake, source="kernel.org", version=f'"{VERSION}"', sha256=digest, mirrors=f"[{', '.join(mirrors)}]")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_version_of_kernel_org(fake: FakeProject, archive: Path, tmp_path: Path) -> None:
    """The first mirror does not have it, the second one does; once fetched, no mirror is needed."""
    (tmp_path / "empty").mkdir()
    cache = str(tmp_path / "cache")
    with serve(tmp_path / "empty") as empty, serve(tmp_path / "mirror") as full:
        kernel_org(fake, sha256(archive), empty, full)
        done = run_rosk("build", "-C", fake.root, "--kernel", VERSION, ROSK_CACHE=cache)
    assert done.code == 0, done.err
    contract.check_release(contract.find_release(fake.root / "dist"))
    offline = run_rosk("build", "-C", fake.root, KERNEL_TAG=VERSION, ROSK_CACHE=cache)
    assert offline.code == 0, offline.err


@pytest.mark.parametrize(
    ("fault", "says"),
    [("missing", "404"), ("page", "HTML"), ("truncated", "checksum|SHA-256"), ("offline", "refused|network|connect")],
)
def test_a_source_that_cannot_be_had(fake: FakeProject, archive: Path, tmp_path: Path, fault: str, says: str) -> None:
    digest = sha256(archive)
    if fault == "missing":
        archive.unlink()
    elif fault == "page":
        archive.write_text("<!DOCTYPE html>\n<html><body>Please log in to the guest network</body></html>\n")
    elif fault == "truncated":
        archive.write_bytes(archive.read_bytes()[:-1000])
    with serve(tmp_path / "mirror") as mirror:
        kernel_org(fake, digest, "http://127.0.0.1:1" if fault == "offline" else mirror)
        done = run_rosk("build", "-C", fake.root, ROSK_CACHE=str(tmp_path / "cache"))
    assert done.code == 4
    assert any(word.lower() in done.err.lower() for word in says.split("|")), done.err
    assert "next:" in done.err
    assert "Traceback" not in done.err
    assert not (fake.root / "dist/kernel").exists()


def test_a_local_tarball(fake: FakeProject, archive: Path, tmp_path: Path) -> None:
    use(fake, source="tarball", path=str(archive), sha256=sha256(archive))
    done = run_rosk("build", "-C", fake.root, ROSK_CACHE=str(tmp_path / "cache"))
    assert done.code == 0, done.err
    assert contract.find_release(fake.root / "dist").v == fake.release


def test_a_local_tarball_with_another_checksum(fake: FakeProject, archive: Path, tmp_path: Path) -> None:
    use(fake, source="tarball", path=str(archive), sha256="0" * 64)
    done = run_rosk("build", "-C", fake.root, ROSK_CACHE=str(tmp_path / "cache"))
    assert done.code == 4
    assert sha256(archive) in done.err
