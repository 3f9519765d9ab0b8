"""Sources of external modules: what is fetched, what is pinned, and what is refused."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from builder.errors import FetchError, InputError
from builder.external.model import ModuleSource
from builder.external.sources import module_sources
from builder.project import load_project
from tests.conftest import serving
from tests.unit.projects import SETTINGS, write_project

pytestmark = pytest.mark.host_programs
NOBODY = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSK_CACHE", str(tmp_path / "cache"))


def sources(tmp_path: Path, *modules: str) -> tuple[ModuleSource, ...]:
    """The sources of modules, each a line of the settings in YAML's flow style."""
    text = SETTINGS + "modules:\n" + "".join(f"  - {module}\n" for module in modules)
    root = write_project(tmp_path / "project", **{"config/rosk.yaml": text})
    return module_sources(load_project(root, arch="x86"), print)


def write(folder: Path, name: str = "Kbuild", text: str = "obj-m := a.o\n") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *NOBODY, "-C", folder, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits."""
    folder = write(tmp_path / "repository")
    git(folder, "init", "--quiet", "--initial-branch=main")
    for text in ("obj-m := a.o\n", "obj-m := b.o\n"):
        write(folder, text=text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", text)
    return folder


def names(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as tar:
        return {
            member.name: file.read().decode() for member in tar if member.isreg() and (file := tar.extractfile(member))
        }


def test_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "project/mod")
    (found,) = sources(tmp_path, "{name: mod, source: folder, path: mod}")
    assert (found.archive, found.revision, (found.folder / "Kbuild").read_text()) == (False, "", "obj-m := a.o\n")
    sums = {found.sha256}
    (tmp_path / "project/mod/Kbuild").touch()
    assert sources(tmp_path, "{name: mod, source: folder, path: mod}")[0].sha256 in sums
    for change in (
        lambda: write(tmp_path / "project/mod", text="obj-m := c.o\n"),
        lambda: (tmp_path / "project/mod/Kbuild").chmod(0o755),
        lambda: (tmp_path / "project/mod/link").symlink_to("Kbuild"),
        lambda: write(tmp_path / "project/mod", "sub/x.h"),
    ):
        change()
        sums.add(sources(tmp_path, "{name: mod, source: folder, path: mod}")[0].sha256)
    assert len(sums) == 5
    with pytest.raises(InputError, match="no such folder"):
        sources(tmp_path, "{name: mod, source: folder, path: gone}")
    write(tmp_path / "project/mod", ".dockerignore", "*.c\n")
    with pytest.raises(InputError, match="leave out"):
        sources(tmp_path, "{name: mod, source: folder, path: mod}")


def test_a_commit_of_a_repository_of_this_machine(tmp_path: Path, repository: Path) -> None:
    """Also one that is not checked out; what is edited there has no part in it."""
    old, new = git(repository, "rev-parse", "HEAD~1"), git(repository, "rev-parse", "HEAD")
    write(repository, text="edited")
    entry = "{{name: mod, source: git, path: {}, commit: {}}}"
    (first,) = sources(tmp_path, entry.format(repository, old))
    (second,) = sources(tmp_path, entry.format(repository, new))
    assert [names(next(each.folder.iterdir())) for each in (first, second)] == [
        {"mod/Kbuild": "obj-m := a.o\n"},
        {"mod/Kbuild": "obj-m := b.o\n"},
    ]
    assert (first.revision, first.archive, first.sha256) == (old, True, first.folder.name)
    assert sources(tmp_path, entry.format(repository, old))[0].sha256 == first.sha256
    with pytest.raises(FetchError, match="no commit"):
        sources(tmp_path, entry.format(repository, "0" * 40))
    with pytest.raises(FetchError, match="no commit"):
        sources(tmp_path, entry.format(tmp_path / "gone", old))


def test_a_commit_of_a_server(tmp_path: Path, repository: Path) -> None:
    """Of a server that knows nothing of git, even; fetched once."""
    old = git(repository, "rev-parse", "HEAD~1")
    git(repository, "update-server-info")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=repository)
    with serving(handler) as host:
        entry = f"{{name: mod, source: git, url: 'http://{host}/.git', commit: {old}}}"
        (found,) = sources(tmp_path, entry)
        with pytest.raises(FetchError, match="no commit"):
            sources(tmp_path, entry.replace(old, "0" * 40))
    assert names(next(found.folder.iterdir())) == {"mod/Kbuild": "obj-m := a.o\n"}
    assert sources(tmp_path, entry)[0].sha256 == found.sha256
    with pytest.raises(FetchError):
        sources(tmp_path, entry.replace("/.git", "/other"))


def test_tarballs(tmp_path: Path) -> None:
    archive = tmp_path / "project/mod-1.0.tar.gz"
    write(tmp_path / "mod-1.0")
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "mod-1.0", "mod-1.0")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (found,) = sources(tmp_path, "{name: mod, source: tarball, path: mod-1.0.tar.gz}")
    assert (found.sha256, found.archive, found.revision) == (digest, True, "")
    with pytest.raises(FetchError, match="SHA-256"):
        sources(tmp_path, f"{{name: mod, source: tarball, path: mod-1.0.tar.gz, sha256: {'0' * 64}}}")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=archive.parent)
    os.environ.pop("http_proxy", None)
    with serving(handler) as host:
        entry = f"{{name: other, source: tarball, url: 'http://{host}/mod-1.0.tar.gz', sha256: {digest}}}"
        assert sources(tmp_path, entry)[0].sha256 == digest
        with pytest.raises(FetchError, match="checksum"):
            sources(tmp_path, entry.replace(digest, "1" * 64))


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("{name: Mod, source: folder, path: x}", "'Mod' is not a name"),
        ("{name: 'a b', source: folder, path: x}", "is not a name"),
        ("{name: mod, source: folder}", "source folder needs path"),
        ("{name: mod, source: folder, url: 'https://host/x'}", "source folder needs path"),
        ("{name: mod, source: tarball, path: x, url: 'https://host/x', sha256: %s}" % ("0" * 64), "needs path or url"),
        ("{name: mod, source: tarball, url: 'https://host/x'}", "needs sha256"),
        ("{name: mod, source: git, path: x}", "needs commit"),
        ("{name: mod, source: git, path: x, commit: main}", "'main' is not a commit"),
        ("{name: mod, source: git, url: 'ext::sh -c id', commit: %s}" % ("0" * 40), "is not an address"),
        ("{name: mod, source: git, url: '--upload-pack=id', commit: %s}" % ("0" * 40), "is not an address"),
        ("{name: mod, source: git, url: 'https://user:pass@host/x', commit: %s}" % ("0" * 40), "is not an address"),
        ("{name: mod, source: folder, path: x, commit: %s}" % ("0" * 40), "commit has no meaning"),
        ("{name: mod, source: folder, path: x, subdir: ../y}", "leads out of the source"),
        ("{name: mod, source: folder, path: x, subdir: /y}", "leads out of the source"),
        ("{name: mod, source: folder, path: x, make: {M: /}}", "M is set by the build"),
        ("{name: mod, source: folder, path: x, make: {A: '$(shell id)'}}", "is not a plain value"),
        ("{name: mod, source: folder, path: x, make: {'A B': x}}", "is not a variable of make"),
        ("{name: mod, source: folder, path: x, instal: extra}", "did you mean modules.install"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, entry: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        sources(tmp_path, entry)
    assert what in f"{caught.value} {caught.value.hint}"
    assert caught.value.line is not None


def test_two_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="my_mod is there twice"):
        sources(tmp_path, "{name: my-mod, source: folder, path: x}", "{name: my_mod, source: folder, path: y}")
