"""Sources of external modules: what is fetched, what is pinned, and what is refused."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import shutil
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
    (found,) = sources(tmp_path, "{name: mod, source: folder, path: mod}")
    assert found.sha256 in sums and not (found.folder / ".dockerignore").exists()


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


def with_submodule(tmp_path: Path, name: str, url: str, path: str, commit: str) -> Path:
    """A repository that says that it has another one in a folder, and perhaps lies."""
    folder = write(tmp_path / name, ".gitmodules", f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n')
    write(folder, "Kbuild", "obj-m := x.o\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    git(folder, "commit", "--quiet", "-m", "x")
    git(folder, "update-server-info")
    return folder


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD")


def test_submodules_come_along(tmp_path: Path, repository: Path) -> None:
    """Each at the commit that it is pinned to, theirs too; from where the repository says, also beside itself."""
    git(repository, "update-server-info")
    old = git(repository, "rev-parse", "HEAD~1")
    inner = with_submodule(tmp_path, "inner", "../../repository/.git", "deep/er", old)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with serving(handler) as host:
        outer = with_submodule(tmp_path, "outer", f"http://{host}/inner/.git", "lib", head(inner))
        entry = f"{{name: mod, source: git, url: 'http://{host}/outer/.git', commit: {head(outer)}}}"
        (found,) = sources(tmp_path, entry)
        (alone,) = sources(tmp_path, entry.replace("}", ", submodules: false}"))
    archive = next(found.folder.iterdir())
    files = names(archive)
    assert {name: text for name, text in files.items() if name.endswith("Kbuild")} == {
        "mod/Kbuild": "obj-m := x.o\n",
        "mod/lib/Kbuild": "obj-m := x.o\n",
        "mod/lib/deep/er/Kbuild": "obj-m := a.o\n",
    }
    assert set(names(next(alone.folder.iterdir()))) == {"mod/Kbuild", "mod/.gitmodules"}
    assert sources(tmp_path, entry)[0].sha256 == found.sha256 != alone.sha256  # no server is there any more
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", unpacked], check=True)
    assert {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()} == set(files)


def test_submodules_of_a_repository_of_this_machine(tmp_path: Path, repository: Path) -> None:
    """They are taken from what git has of them there, whatever their address."""
    outer = write(tmp_path / "outer")
    git(outer, "init", "--quiet", "--initial-branch=main")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repository), "drivers/lib")
    git(outer, "add", ".")
    git(outer, "commit", "--quiet", "-m", "x")
    entry = f"{{name: mod, source: git, path: {outer}, commit: {head(outer)}}}"
    for _ in range(2):
        (found,) = sources(tmp_path, entry)
        assert names(next(found.folder.iterdir()))["mod/drivers/lib/Kbuild"] == "obj-m := b.o\n"
        shutil.rmtree(outer / "drivers/lib", ignore_errors=True)  # as when a commit without it is checked out
    # A folder of a repository is a source as well, with the submodules in it.
    write(outer / "drivers", "Makefile")
    (found,) = sources(tmp_path, entry.replace(str(outer), str(outer / "drivers")))
    assert set(names(next(found.folder.iterdir()))) == {"mod/lib/Kbuild"}
    shutil.rmtree(outer / ".git/modules")
    with pytest.raises(FetchError, match=r"the submodule drivers/lib is from .*, which is no address") as caught:
        sources(tmp_path, entry)
    assert "git submodule update --init" in caught.value.hint and "submodules: false" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("{tmp}/repository", "lib"),
        ("file://{tmp}/repository", "lib"),
        ("../../../repository", "lib"),
        ("ext::sh -c touch% {tmp}/ran", "lib"),
        ("--upload-pack=touch {tmp}/ran", "lib"),
        ("-", "lib"),
        ("", "lib"),
    ],
)
def test_a_server_s_repository_reads_nothing_of_this_machine(
    tmp_path: Path, repository: Path, url: str, path: str
) -> None:
    """Its submodules are from servers; the commit that is named does exist here."""
    outer = with_submodule(tmp_path / "site", "outer", url.format(tmp=tmp_path), path, head(repository))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "site")
    with serving(handler) as host:
        entry = f"{{name: mod, source: git, url: 'http://{host}/outer/.git', commit: {head(outer)}}}"
        with pytest.raises(FetchError) as caught:
            sources(tmp_path, entry)
    assert "submodules: false" in caught.value.hint and not (tmp_path / "ran").exists()


def test_a_submodule_that_nobody_names(tmp_path: Path, repository: Path) -> None:
    outer = with_submodule(tmp_path, "outer", "http://localhost/x", "lib", head(repository))
    git(outer, "rm", "-q", ".gitmodules")
    git(outer, "commit", "--quiet", "-m", "y")
    entry = f"{{name: mod, source: git, path: {outer}, commit: {head(outer)}}}"
    with pytest.raises(FetchError, match="does not say where its submodule lib is from"):
        sources(tmp_path, entry)
    assert sources(tmp_path, entry.replace("}", ", submodules: false}"))


def test_a_submodule_whose_name_leads_elsewhere(tmp_path: Path, repository: Path) -> None:
    outer = with_submodule(tmp_path, "outer", "http://localhost/x", "lib", head(repository))
    write(outer, ".gitmodules", '[submodule "../../../repository/.git"]\n\tpath = lib\n\turl = ./x\n')
    git(outer, "add", ".gitmodules")
    git(outer, "commit", "--quiet", "-m", "y")
    with pytest.raises(FetchError, match="leads out of its repository"):
        sources(tmp_path, f"{{name: mod, source: git, path: {outer}, commit: {head(outer)}}}")


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
        ("{name: mod, source: folder, path: x, submodules: false}", "submodules has no meaning"),
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
