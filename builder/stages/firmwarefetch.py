"""Gets the firmware to choose from (Debian's packages, an archive) and says of what revision it is.

As a program: `--packages NAME... --out FOLDER --revision FILE --licences FILE` fetches Debian's packages.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.stages.common import StageError, run, stage_main
from builder.stages.dep5 import licence_name, parse_copyright
from builder.stages.licence import Licence, read_licence, write_licences

APT = Path("/etc/apt")
COMPONENT, OLD_COMPONENT = "non-free-firmware", "non-free"
"""Where Debian's firmware is: since Debian 12, and before."""
OS_RELEASE = Path("/etc/os-release")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?")


def from_debian(packages: Sequence[str], temp: Path, apt: Path = APT) -> tuple[Path, str, dict[str, Licence]]:
    """Download packages with apt, which verifies them, and unpack them.

    The machine's own apt sources are used, with the component of the firmware added; they are not changed.

    Args:
        packages: Names, or `NAME=VERSION`.
        temp: An empty folder to work in.
        apt: The folder of the machine's sources.list.

    Returns:
        The folder that is lib/firmware of all packages together, their upstream version, and the licences of the files.

    Raises:
        StageError: A package is unknown, or apt cannot get it.
    """
    for name in packages:
        if not PACKAGE.fullmatch(name):
            raise StageError(f"{name} is not the name of a Debian package", hint="for example firmware-realtek")
    options = _apt_options(apt, temp)
    _apt([*options, "update"], temp)
    _apt([*options, "download", *packages], temp)
    merged, versions, licences = temp / "firmware", set(), dict[str, Licence]()
    merged.mkdir()
    for deb in sorted(temp.glob("*.deb")):
        package = deb.name.partition("_")[0]
        root = temp / "packages" / package
        root.mkdir(parents=True)
        run(["dpkg-deb", "-x", deb, root])
        versions.add(upstream_version(run(["dpkg-deb", "-f", deb, "Version"]).stdout.strip()))
        licences.update(package_licences(root, package))
        for folder in _firmware_folders(root):
            run(["cp", "-a", f"{folder}/.", merged])
    return merged, ", ".join(sorted(versions)), licences


def _firmware_folders(root: Path) -> list[Path]:
    """Where an unpacked package has firmware: since Debian 13 in usr/lib, before that in lib."""
    return [folder for folder in (root / "usr/lib/firmware", root / "lib/firmware") if folder.is_dir()]


def package_licences(root: Path, package: str) -> dict[str, Licence]:
    """The licences of the firmware of an unpacked package, as its copyright file has them."""
    file = root / "usr/share/doc" / package / "copyright"
    paragraphs = parse_copyright(file.read_text(errors="replace")) if file.is_file() else []
    licences = {}
    for folder in _firmware_folders(root):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                name = path.relative_to(folder).as_posix()
                plain = name.removesuffix(".xz").removesuffix(".zst")
                licences[plain] = read_licence(
                    licence_name(paragraphs, name) or licence_name(paragraphs, plain), package
                )
    return licences


def from_archive(folder: Path, temp: Path) -> tuple[Path, str]:
    """Unpack the one archive of a folder.

    Returns:
        The unpacked firmware folder, and the release in the archive's or its top folder's name: `20260810` for
        linux-firmware-20260810.tar.xz.

    Raises:
        StageError: There is not exactly one file, or it is no whole tar archive.
    """
    archives = [path for path in sorted(folder.iterdir()) if path.is_file()]
    if len(archives) != 1:
        raise StageError(f"{len(archives)} files where one firmware archive should be", hint="name one archive")
    (archive,) = archives
    done = run(["tar", "-x", "-f", archive, "-C", temp, "--no-same-owner", "--no-same-permissions"], check=False)
    if done.returncode:
        raise StageError(
            f"the firmware archive {archive.name} cannot be unpacked",
            hint="download it again; it must be a whole .tar, .tar.gz, .tar.xz or .tar.zst",
            details=done.stderr.splitlines()[-20:],
        )
    top = list(temp.iterdir())
    root = top[0] if len(top) == 1 and top[0].is_dir() else temp
    name = re.sub(r"\.(tar|tgz|txz|tar\..*)$", "", archive.name)
    match = re.match(r"linux-firmware-(.+)", root.name) or re.match(r"linux-firmware-(.+)", name)
    return root, match[1] if match else name


def git_head(folder: Path) -> str | None:
    """The commit that a checkout is at, or None when that cannot be read (no .git, or a linked work tree)."""
    git = folder / ".git"
    if not (git / "HEAD").is_file():
        return None
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head
    ref = head.removeprefix("ref: ")
    if (git / ref).is_file():
        return (git / ref).read_text().strip()
    packed = (git / "packed-refs").read_text() if (git / "packed-refs").is_file() else ""
    match = re.search(rf"^([0-9a-f]{{40,64}}) {re.escape(ref)}$", packed, re.MULTILINE)
    return match[1] if match else None


def upstream_version(version: str) -> str:
    """The upstream part of a Debian version (deb-version(7)): `20250410` of `1:20250410-2`."""
    return re.sub(r"-[^-]*$", "", re.sub(r"^\d+:", "", version))


def component_of(os_release: str) -> str:
    """The component with the firmware, by the text of /etc/os-release (os-release(5))."""
    version = re.search(r'^VERSION_ID="?(\d+)', os_release, re.MULTILINE)
    return OLD_COMPONENT if version and int(version[1]) < 12 else COMPONENT


def with_component(text: str, *, deb822: bool, component: str = COMPONENT) -> str:
    """A file of apt sources (sources.list(5)) with the component of the firmware in every entry that has any."""
    rows = []
    for row in text.splitlines():
        components = re.match(r"Components:(.*)", row, re.IGNORECASE) if deb822 else _one_line_entry(row)
        if components and component not in components[1].split():
            row = f"{row.partition(' #')[0].rstrip()} {component}"  # noqa: PLW2901
        rows.append(row)
    return "".join(f"{row}\n" for row in rows)


def _one_line_entry(row: str) -> re.Match[str] | None:
    """`deb [options] uri suite component...`, with the components as group 1; a suite that ends in `/` has none."""
    return re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?\S+\s+\S*[^/\s]\s+([^#]+)", row)


def _apt_options(apt: Path, temp: Path) -> list[str]:
    """Options that make apt use the completed sources, and keep all that it writes in `temp`."""
    for name in ("sources", "lists/partial"):
        (temp / name).mkdir(parents=True)
    component = component_of(OS_RELEASE.read_text() if OS_RELEASE.is_file() else "")
    found = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for number, path in enumerate(path for path in found if path.is_file() and path.suffix in (".list", ".sources")):
        completed = with_component(path.read_text(), deb822=path.suffix == ".sources", component=component)
        (temp / f"sources/{number:02}{path.suffix}").write_text(completed)
    settings = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": temp / "sources",
        "Dir::State::Lists": temp / "lists",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "Acquire::Retries": "3",
    }
    return [f"-o{name}={value}" for name, value in settings.items()]


def _apt(arguments: Sequence[str], folder: Path) -> None:
    done = run(["apt-get", "-q", *arguments], cwd=folder, check=False)
    if done.returncode == 0:
        return
    errors = [row for row in done.stderr.splitlines() if row.startswith(("E:", "W:"))]
    unknown = re.findall(r"Unable to locate package (\S+)|Version '.*' for '(\S+)' was not found", done.stderr)
    if unknown:
        names = ", ".join(first or second for first, second in unknown)
        raise StageError(
            f"this Debian suite has no firmware package {names}",
            hint="correct the packages in the settings; `apt-cache search ^firmware-` lists what there is",
        )
    raise StageError("apt cannot get the firmware packages", hint="check the network", details=errors[-20:])


def main() -> None:
    parser = argparse.ArgumentParser(prog="firmwarefetch", description=__doc__)
    parser.add_argument("--packages", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--revision", type=Path, required=True)
    parser.add_argument("--licences", type=Path, required=True)
    options = parser.parse_args()
    with TemporaryDirectory() as temp:
        root, revision, licences = from_debian(options.packages, Path(temp))
        options.out.mkdir(parents=True, exist_ok=True)
        run(["cp", "-a", f"{root}/.", options.out])
    options.revision.write_text(f"{revision}\n")
    write_licences(options.licences, licences)


if __name__ == "__main__":
    stage_main(main)
