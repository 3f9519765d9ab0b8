"""Services as an OS finds them, in a folder for a web server and in a clone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from builder.errors import InputError
from builder.osrepo.servicesrun import ServicesOptions, run_services
from tests.unit.osrepo.consumer import before_kernel, before_registry, from_folder, modern
from tests.unit.projects import write_project
from tests.unit.verify.releases import V, release

LABELS = {"io.rancher.os.detach": "false", "io.rancher.os.after": "network", "io.rancher.os.scope": "system"}
COMMON = ["/usr/src:/usr/src", "/lib/modules:/lib/modules"]
HEADERS = [*COMMON, "/usr/bin/ros:/usr/bin/ros"]
VOLUMES = {
    "kernel-extras": [*COMMON, "/lib/firmware:/lib/firmware"],
    "kernel-headers": HEADERS,
    "kernel-headers-system-docker": HEADERS,
}
IMAGES = {
    "kernel-extras": "os-extras",
    "kernel-headers": "os-headers",
    "kernel-headers-system-docker": "os-headers",
}

pytestmark = pytest.mark.host_programs  # git is asked what was changed before


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of acme with a release in dist."""
    root = write_project(tmp_path / "project")
    release(root / "dist", kernel={"./boot/vmlinuz-x": b"x"})
    (root / "dist/images").write_text("".join(f"acme/os-{name}:{V}\n" for name in ("extras", "headers", "kernel")))
    return root


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


def write(repository: Path, project: Path, *versions: str, dist: Path | None = None, dry_run: bool = False) -> None:
    run_services(
        repository,
        ServicesOptions(project=project, versions=versions, dist=dist, dry_run=dry_run),
    )


def refused(*arguments: object, **given: object) -> InputError:
    with pytest.raises(InputError) as caught:
        write(*arguments, **given)  # type: ignore[arg-type]
    return caught.value


def clone(root: Path, branch: str, index: str) -> Path:
    """A clone of a services repository with a service of another origin."""
    (root / ".git").mkdir(parents=True)
    (root / ".git/HEAD").write_text(f"ref: refs/heads/{branch}\n")
    (root / "index.yml").write_text(index)
    (root / "z").mkdir()
    (root / "z/zfs.yml").write_text("zfs:\n  image: other/os-zfs:1\n")
    return root


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_an_os_finds_every_service_under_master_and_its_version(project: Path, repository: Path) -> None:
    write(repository, project, "v1.5.8")
    for branch in ("master", "v1.5.8"):
        for suffix in ("", "_arm64"):
            machine = modern(from_folder(repository), branch, V, suffix)
            assert machine.names() == list(VOLUMES)
            assert machine.names("consoles") == machine.names("engines") == []
            for name, volumes in VOLUMES.items():
                service = machine.service(name)
                assert service == {
                    "image": f"docker.io/acme/{IMAGES[name]}:{V}{suffix}",
                    "labels": LABELS,
                    "volumes": volumes,
                }


def test_the_registry_prefix_is_for_an_os_that_knows_it(project: Path, repository: Path) -> None:
    write(repository, project, "v1.2.0", "1.3.0")
    old = before_registry(from_folder(repository), "v1.2.0", V)
    assert old.service("kernel-extras")["image"] == f"acme/os-extras:{V}"
    assert modern(from_folder(repository), "v1.3.0", V).service("kernel-headers")["image"].startswith("docker.io/acme/")
    assert "REGISTRY_DOMAIN" not in (repository / "v1.2.0/k/kernel-headers.yml").read_text()


def test_an_os_that_does_not_tell_its_kernel_gets_the_release(project: Path, repository: Path) -> None:
    write(repository, project, "v0.7.1")
    assert before_kernel(from_folder(repository), "v0.7.1").service("kernel-extras")["image"] == f"acme/os-extras:{V}"


def test_without_a_release_such_an_os_is_refused_and_others_are_not(
    project: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "dist").rename(project / "elsewhere")
    error = refused(repository, project, "v0.7.1")
    assert "v0.7.1" in error.what and not repository.exists()
    write(repository, project, "v1.5.8")
    assert "was not checked" in capsys.readouterr().out
    write(repository, project, "v0.7.1", dist=project / "elsewhere")
    assert (repository / "v0.7.1/index.yml").is_file()


@pytest.mark.parametrize(
    ("version", "branches"),
    [
        ("v2.0.0", {"master", "v2.0.0"}),
        ("v2.0.5", {"master", "v2.0.5", "v2.0.x"}),
        ("v2.0.x", {"master", "v2.0.x"}),
        ("v3.0.0-alpha1", {"master", "v3.0.0-alpha1", "v3.0.x"}),
        ("master", {"master"}),
    ],
)
def test_the_branches_that_an_os_asks_for(project: Path, repository: Path, version: str, branches: set[str]) -> None:
    write(repository, project, version)
    assert {path.name for path in repository.iterdir()} == branches


@pytest.mark.parametrize("version", ["1.5", "v0.4.5", "../../etc", "v1.5.8/x", "", "latest"])
def test_what_is_no_version(project: Path, repository: Path, version: str) -> None:
    refused(repository, project, version)
    assert not repository.exists()


def test_images_that_the_release_does_not_have(project: Path, repository: Path) -> None:
    (project / "dist/images").write_text(f"other/os-extras:{V}\nother/os-headers:{V}\n")
    assert f"acme/os-extras:{V}" in refused(repository, project, "v1.5.8").what
    (project / "dist/images").write_text(f"acme/os-extras:{V}\nacme/os-headers:{V}\n")
    (project / "dist/manifest.json").write_text(json.dumps({"images": {f"acme/os-extras:{V}": "sha256:0"}}))
    assert f"acme/os-headers:{V}" in refused(repository, project, "v1.5.8").what
    assert not repository.exists()


def test_a_release_for_arm64_has_images_with_its_suffix(tmp_path: Path, project: Path, repository: Path) -> None:
    dist = release(tmp_path / "arm", a="arm64", kernel={"./boot/vmlinuz-x": b"x"})
    (dist / "images").write_text(f"acme/os-extras:{V}\nacme/os-headers:{V}\n")
    assert f"acme/os-extras:{V}_arm64" in refused(repository, project, "master", dist=dist).what
    (dist / "images").write_text(f"acme/os-extras:{V}_arm64\nacme/os-headers:{V}_arm64\n")
    write(repository, project, "master", dist=dist)


def test_a_second_run_changes_nothing(project: Path, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository, project, "v1.5.8", "v1.2.0")
    before = files(repository)
    write(repository, project, "v1.5.8", "v1.2.0")
    assert files(repository) == before
    assert "has these services already" in capsys.readouterr().out


def test_a_clone_keeps_what_is_of_another_origin(project: Path, repository: Path) -> None:
    index = "# ours\nservices:\n- amazon-ecs-agent # aws\n- zfs\nconsoles:\n- debian\nengines:\n- docker-26.0.1\n"
    clone(repository, "v1.5.8", index)
    write(repository, project)
    wanted = index.replace("- zfs", "- kernel-extras\n- kernel-headers\n- kernel-headers-system-docker\n- zfs")
    assert (repository / "index.yml").read_text() == wanted
    machine = modern(lambda url: (repository / url.removeprefix("v1.5.8/")).read_bytes(), "v1.5.8", V)
    assert machine.service("kernel-extras")["image"] == f"docker.io/acme/os-extras:{V}"
    assert machine.names("consoles") == ["debian"]
    assert (repository / "z/zfs.yml").read_text() == "zfs:\n  image: other/os-zfs:1\n"
    assert not (repository / "master").exists()


def test_in_a_service_that_is_there_only_the_image_changes(project: Path, repository: Path) -> None:
    clone(repository, "master", "services:\n- kernel-extras\n- kernel-headers\n- kernel-headers-system-docker\n")
    write(repository, project)
    path = repository / "k/kernel-headers.yml"
    before = "# theirs\n" + path.read_text().replace("/acme/", "/rancher/").replace('"network"', "network")
    path.write_text(before)
    write(repository, project)
    assert path.read_text() == before.replace("/rancher/", "/acme/")
    path.write_text("kernel-headers:\n  image: x\n  privileged: true\n")
    write(repository, project)
    assert modern(from_folder(repository), ".", V).service("kernel-headers")["volumes"] == HEADERS


def test_a_clone_is_of_one_version(project: Path, repository: Path) -> None:
    clone(repository, "v1.5.8", "services: []\n")
    before = files(repository)
    assert "a branch for each version" in refused(repository, project, "v1.5.8", "master").what
    error = refused(repository, project, "v1.2.0")
    assert "v1.5.8 is checked out" in error.what and "switch v1.2.0" in error.hint
    (repository / ".git/HEAD").write_text("0" * 40)
    assert "no branch" in refused(repository, project).what
    assert files(repository) == {**before, ".git/HEAD": b"0" * 40}
    write(repository, project, "v1.2.0")
    assert "REGISTRY_DOMAIN" not in (repository / "k/kernel-extras.yml").read_text()


@pytest.mark.parametrize(
    "index",
    [
        "services:\n- zfs\nnote: text\n",
        "- zfs\n",
        "services: {zfs: 1}\n",
        "services:\n- [zfs]\n",
        "services: [zfs, waagent]\n",
        "services: [\n",
        "\x00",
    ],
)
def test_an_index_that_cannot_be_added_to_is_left(project: Path, repository: Path, index: str) -> None:
    clone(repository, "master", index)
    before = files(repository)
    refused(repository, project)
    assert files(repository) == before


@pytest.mark.parametrize(
    ("index", "merged"),
    [
        ("", "services:\n- A\n- B\n- C\n"),
        ("services:\n", "services:\n- A\n- B\n- C\n"),
        ("services: []\nengines: []\n", "services:\n- A\n- B\n- C\nengines: []\n"),
        ("consoles:\n- debian", "consoles:\n- debian\nservices:\n- A\n- B\n- C\n"),
        ("services:\n- zfs\n- alpha\n", "services:\n- zfs\n- alpha\n- A\n- B\n- C\n"),
        (
            "services:\n  - zfs\n\n# end\nengines:\n  - x\n",
            "services:\n  - A\n  - B\n  - C\n  - zfs\n\n# end\nengines:\n  - x\n",
        ),
        ("services:\r\n- alpha\r\n", "services:\r\n- alpha\r\n- A\r\n- B\r\n- C\r\n"),
        ("services:\n- B\n- zfs\n", "services:\n- A\n- B\n- C\n- zfs\n"),
    ],
)
def test_how_an_index_is_added_to(project: Path, repository: Path, index: str, merged: str) -> None:
    names = {"A": "kernel-extras", "B": "kernel-headers", "C": "kernel-headers-system-docker"}

    def named(text: str) -> str:
        for letter, name in names.items():
            text = text.replace(f"- {letter}", f"- {name}")
        return text

    clone(repository, "master", "")
    (repository / "index.yml").write_bytes(named(index).encode())
    write(repository, project)
    assert (repository / "index.yml").read_bytes() == named(merged).encode()


def test_a_dry_run_shows_the_diff_and_writes_nothing(
    project: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clone(repository, "master", "services:\n- zfs\n")
    before = files(repository)
    write(repository, project, dry_run=True)
    out = capsys.readouterr().out
    assert "+- kernel-extras\n" in out and "+++ b/k/kernel-extras.yml" in out
    assert files(repository) == before


def test_links_are_not_followed(project: Path, repository: Path, tmp_path: Path) -> None:
    clone(repository, "master", "services:\n- zfs\n")
    (tmp_path / "outside").mkdir()
    (repository / "k").symlink_to(tmp_path / "outside")
    before = (repository / "index.yml").read_bytes()
    assert "link" in refused(repository, project).what
    assert not list((tmp_path / "outside").iterdir()) and (repository / "index.yml").read_bytes() == before


def test_json_says_what_was_written(project: Path, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_services(repository, ServicesOptions(project=project, versions=("v1.5.8",), as_json=True))
    told = json.loads(capsys.readouterr().out)
    assert [branch["name"] for branch in told["branches"]] == ["master", "v1.5.8"]
    assert told["written"] and len(told["files"]) == 8 and told["release"] == V


def test_what_was_changed_before_and_is_replaced_is_said(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also what git does not know yet: nothing has it once it is replaced."""
    clone = tmp_path / "clone"
    (clone / "k").mkdir(parents=True)
    (clone / "k/kernel-extras.yml").write_text("mine: not committed\n")
    (clone / "k/other.yml").write_text("x: 1\n")
    (clone / "index.yml").write_text("services:\n- zfs\n")
    for words in (["init", "-q", "-b", "master"], ["add", "index.yml"]):
        subprocess.run(["git", "-C", clone, *words], check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", clone, *who, "commit", "-q", "-m", "first"], check=True)
    write(clone, project)
    said = capsys.readouterr().out
    assert "warning: k/kernel-extras.yml had been changed before and not committed" in said
    assert "other.yml" not in said and "warning: index.yml" not in said
    write(clone, project)
    assert "warning" not in capsys.readouterr().out  # nothing is replaced
