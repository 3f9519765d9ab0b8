"""Get a kernel source tree from a Debian package, an archive or a folder.

Writes the tree and an info file: `{"kernel_version": "6.12.107", "epoch": 1787976000}`, for Debian's source also
`"package_version": "6.12.107-1"`. `kernel_version` is what kbuild's `make kernelversion` prints. `epoch` (seconds
since 1970) dates the build: the time of the top Makefile in the archive, for a folder the one given.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from builder.stages.common import NO_SPACE, StageError, run, stage_main, write_json

# Magic number at the start of the file → the tar option that names its decompressor.
_COMPRESSIONS = {
    b"\xfd7zXZ\x00": "--xz",
    b"\x1f\x8b": "--gzip",
    b"\x28\xb5\x2f\xfd": "--zstd",
    b"BZh": "--bzip2",
}
_TAR_MAGIC = slice(257, 262)
_PLAIN = "--no-auto-compress"
# RFC 7468; a passphrase adds header lines (RFC 1421). Scripts that only look for such a line have no key after it.
PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----\s+(?:[A-Za-z-]+: |[A-Za-z0-9+/]{32})")
_APT = ("-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=root", "-o", "APT::Update::Error-Mode=any")


def kernel_version(makefile: str) -> str:
    """The version that the text of a top Makefile states, put together as kbuild's KERNELVERSION is.

    Raises:
        StageError: The text has no VERSION and PATCHLEVEL.
    """
    values: dict[str, str] = dict(
        re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)", makefile, re.MULTILINE)
    )
    if not values.get("VERSION") or not values.get("PATCHLEVEL"):
        raise StageError(
            "the source is not a Linux tree: its top Makefile states no kernel version",
            hint="give the source of a Linux kernel",
        )
    numbers = (values.get(name, "") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    version = ".".join(filter(None, numbers)) + values.get("EXTRAVERSION", "")
    if not re.fullmatch(r"[0-9][\w.-]{0,63}", version, re.ASCII):
        raise StageError(
            f"the source's top Makefile states the version {version!r}, which no file and no image can be named by",
            hint="make VERSION, PATCHLEVEL, SUBLEVEL and EXTRAVERSION letters, digits, `.`, `_` and `-`",
        )
    return version


def read_version(tree: Path) -> str:
    """The kernel version of `tree`, once it is known to be a Linux tree in which nobody has built.

    Raises:
        StageError: It is no Linux tree, has files of a build (kbuild: "The source tree is not clean"), a private key
            among its certificates, or a symbolic link that leads out of it.
    """
    missing = [name for name in ("Makefile", "Kconfig", "scripts", "arch") if not (tree / name).exists()]
    if missing:
        raise StageError(
            f"the source is not a Linux tree: it has no {missing[0]} at its top",
            hint="give the source of a Linux kernel",
        )
    version = kernel_version((tree / "Makefile").read_text(errors="replace"))
    built = [tree / ".config", tree / "include/config", *sorted(tree.glob("arch/*/include/generated"))]
    for path in built:
        if path.exists():
            raise StageError(
                f"the source tree is not clean: it holds {path.relative_to(tree)} of a build",
                hint="run `make mrproper` in it (keep a copy of its .config)",
            )
    _refuse_keys(tree)
    _refuse_escaping_links(tree)
    return version


def _refuse_keys(tree: Path) -> None:
    """See that no key for modules lies where kbuild makes one, or is given one: it would be in the source package."""
    for path in sorted((tree / "certs").rglob("*")):
        if path.is_file() and PRIVATE_KEY.search(path.read_bytes()):
            raise StageError(
                f"the source holds a private key, which would be in the source package: {path.relative_to(tree)}",
                hint="take it out (`make mrproper` removes one that a build has made), and name a key of your own with "
                "signing.key in the settings",
            )


def _refuse_escaping_links(tree: Path) -> None:
    root = os.path.realpath(tree)
    for folder, folders, files in os.walk(root):
        if os.path.relpath(folder, root) == ".":
            folders[:] = [name for name in folders if name != ".git"]
        for name in (*folders, *files):
            path = os.path.join(folder, name)  # noqa: PTH118 (tens of thousands of paths: strings are faster)
            if not os.path.islink(path):  # noqa: PTH114
                continue
            target = os.path.normpath(os.path.join(folder, os.readlink(path)))  # noqa: PTH115, PTH118
            if not target.startswith(root + os.sep):
                raise StageError(
                    f"the source has a symbolic link out of its tree: {os.path.relpath(path, root)} -> "
                    f"{os.readlink(path)}",  # noqa: PTH115
                    hint="get the source from a place that you trust",
                )


def _compression(head: bytes, name: str) -> str:
    """The tar option for an archive that starts with `head`.

    Raises:
        StageError: It is no archive; says what it is where that can be seen.
    """
    for magic, option in _COMPRESSIONS.items():
        if head.startswith(magic):
            return option
    if head[_TAR_MAGIC] == b"ustar":
        return _PLAIN
    if not head:
        seen = "is an empty file"
    elif re.match(rb"\s*<(!doctype|html|\?xml|head)", head, re.IGNORECASE):
        seen = "is an HTML page, not an archive"
    elif head.startswith(b"PK\x03\x04"):
        seen = "is a zip file, not a tar archive"
    elif b"\x00" not in head:
        seen = "is a text file, not an archive"
    else:
        seen = "is not a tar archive in xz, gzip, zstd, bzip2 or plain form"
    raise StageError(f"{name} {seen}", hint="get the archive again and check its checksum")


def unpack(archive: IO[bytes], option: str, name: str, out: Path) -> None:
    """Unpack a tar archive (from the stream's position on) that holds one top-level folder, as the folder `out`.

    Raises:
        StageError: It is truncated or damaged, has members with `..`, or other than one folder at its top.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".unpack-") as temp:
        # GNU tar itself refuses members with `..`, strips a leading `/`, and makes links that lead out last of all.
        tar = subprocess.run(
            ["tar", "-x", option, "-f", "-", "--no-same-owner", "--no-same-permissions", "-C", temp],
            stdin=archive,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            umask=0o022,
        )
        if tar.returncode != 0:
            lines = tar.stderr.decode(errors="replace").strip().splitlines()
            said = "\n".join(lines)
            fault = "is damaged"
            if re.search(r"Unexpected EOF|[Uu]nexpected end|premature end|does not look like a tar", said):
                fault = "is truncated"
            elif "Member name contains '..'" in said:
                fault = "has a member whose path contains `..`"
            elif NO_SPACE.search(said):
                raise StageError(f"no space left on the disk while unpacking {name}", hint="free some space")
            raise StageError(f"{name} {fault}", hint="get it again and check its checksum", details=lines[-10:])
        tops = sorted(Path(temp).iterdir())
        if len(tops) != 1 or not tops[0].is_dir() or tops[0].is_symlink():
            names = ", ".join(top.name for top in tops[:5]) or "nothing"
            raise StageError(
                f"{name} does not hold one folder, but {names}",
                hint="give an archive such as linux-6.12.tar.xz, with one folder at its top",
            )
        _replace(tops[0], out)


def _replace(tree: Path, out: Path) -> None:
    if out.exists():
        shutil.rmtree(out)
    tree.rename(out)
    out.chmod(0o755)


def unpack_archive(folder: Path, out: Path) -> None:
    """Unpack the one archive in `folder` (.tar, also as .xz, .gz, .zst or .bz2) to `out`.

    Raises:
        StageError: It is none, or is not one folder.
    """
    files = sorted(folder.iterdir())
    if len(files) != 1 or not files[0].is_file():
        names = ", ".join(file.name for file in files[:5]) or "nothing"
        raise StageError(f"one source archive was expected, found {names}", hint="give one archive")
    with files[0].open("rb", buffering=0) as archive:  # tar goes on at its very position
        option = _compression(archive.read(512), files[0].name)
        archive.seek(0)
        unpack(archive, option, files[0].name, out)


def from_archive(folder: Path, out: Path) -> dict[str, object]:
    """Unpack the one archive in `folder` to `out`; returns the info."""
    unpack_archive(folder, out)
    return {"kernel_version": read_version(out), "epoch": int((out / "Makefile").stat().st_mtime)}


def from_debian(package: str, out: Path) -> dict[str, object]:
    """Get `linux-source-X.Y` with apt, which verifies it, and unpack its tree to `out`; returns the info."""
    updated = run(["apt-get", *_APT, "--quiet", "update"], check=False)
    if updated.returncode != 0:
        raise StageError(
            "apt-get update failed: Debian's package lists cannot be read",
            hint="check the network and the base image's apt sources",
            details=updated.stderr.strip().splitlines()[-10:],
        )
    with tempfile.TemporaryDirectory() as temp:
        fetched = run(["apt-get", *_APT, "--quiet", "download", package], cwd=Path(temp), check=False)
        debs = list(Path(temp).glob("*.deb"))
        if fetched.returncode != 0 or len(debs) != 1:
            raise StageError(
                f"apt cannot download the source package {package}",
                hint="name a linux-source-* package of the toolchain's Debian suite",
                details=(fetched.stderr or fetched.stdout).strip().splitlines()[-10:],
            )
        version = run(["dpkg-deb", "--field", debs[0], "Version"]).stdout.strip()
        _unpack_debian(debs[0], package, out)
    info: dict[str, object] = {"package_version": version, "epoch": int((out / "Makefile").stat().st_mtime)}
    return {**info, "kernel_version": read_version(out)}


def _unpack_debian(deb: Path, package: str, out: Path) -> None:
    """Unpack the tree in a linux-source package, streaming: the archive in the archive never lies on the disk."""
    inner = f"usr/src/{package}.tar.xz"
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as outer,
        subprocess.Popen(
            ["tar", "-x", "-f", "-", "--to-stdout", f"./{inner}"], stdin=outer.stdout, stdout=subprocess.PIPE
        ) as member,
    ):
        assert outer.stdout and member.stdout
        outer.stdout.close()
        try:
            unpack(member.stdout, "--xz", f"{inner} of {deb.name}", out)
        except StageError:
            if member.wait() == 2:  # tar found no such member
                raise StageError(
                    f"the package {package} holds no {inner}",
                    hint="name the package of one kernel version, such as linux-source-6.12",
                ) from None
            raise


def from_tree(folder: Path, epoch: int, out: Path) -> dict[str, object]:
    """Copy the kernel tree in `folder` to `out`, without a `.git`; returns the info."""
    version = read_version(folder)
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    entries = sorted(path for path in folder.iterdir() if path.name != ".git")
    run(["cp", "-a", "--no-preserve=ownership", "-t", out, "--", *entries])
    return {"kernel_version": version, "epoch": epoch}


def main() -> None:
    """Command line: `debian --package P`, `archive --dir D` or `tree --dir D --epoch N`, each with --out and --info."""
    parser = argparse.ArgumentParser(prog="source", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    debian, archive, tree = (kinds.add_parser(kind) for kind in ("debian", "archive", "tree"))
    debian.add_argument("--package", required=True)
    archive.add_argument("--dir", type=Path, required=True)
    tree.add_argument("--dir", type=Path, required=True)
    tree.add_argument("--epoch", type=int, required=True)
    for kind in (debian, archive, tree):
        kind.add_argument("--out", type=Path, required=True)
        kind.add_argument("--info", type=Path, required=True)
    args = parser.parse_args()
    if args.kind == "debian":
        info = from_debian(args.package, args.out)
    elif args.kind == "archive":
        info = from_archive(args.dir, args.out)
    else:
        info = from_tree(args.dir, args.epoch, args.out)
    write_json(args.info, info)


if __name__ == "__main__":
    stage_main(main)
