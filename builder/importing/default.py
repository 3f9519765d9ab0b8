"""A new project from the default one: its config, lists, patches, hooks and settings, under another org."""

from __future__ import annotations

import re
from pathlib import Path

from builder.arch import ARCHES
from builder.errors import InputError
from builder.importing.folder import File, write_project
from builder.importing.kernel import org_problem
from builder.importing.report import Report
from builder.inputs.kernelorg import VERSION
from builder.inputs.pins import TARBALLS
from builder.project import load_project
from builder.schema import schema_text

_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = ("lists", "patches", "hooks")


def default_project() -> Path:
    """The default project: around the package in a checkout, inside it in an installed wheel.

    Raises:
        InputError: It is missing.
    """
    for folder in (_PACKAGE / "default", _PACKAGE.parent):
        if (folder / "config/rosk.yaml").is_file():
            return folder
    raise InputError("rosk's default project is missing", where=_PACKAGE, hint="install rosk again")


def init_project(target: Path, *, org: str | None = None, version: str | None = None) -> Report:
    """Start a project.

    Args:
        target: Its folder, which is missing or empty; its name is the org when none is given.
        org: The org in the images' names.
        version: A release of kernel.org; the default project's kernel when None.

    Raises:
        InputError: The name, the version or the folder will not do.
        NoSpaceError: The disk is full.
    """
    target = target.absolute()
    name = org if org is not None else target.resolve().name
    if problem := org_problem(name):
        what, hint = problem
        raise InputError(what, hint=hint if org is not None else f"give the org with --org: {hint}")
    default = default_project()
    files = _files(default)
    settings = _named(files["config/rosk.yaml"].data.decode(), name)
    if version is not None:
        settings = _versioned(settings, version.removeprefix("v"))
    files["config/rosk.yaml"] = File(data=settings.encode())
    arches = [arch for arch in ARCHES if f"config/{arch}/kernel-config" in files]

    def check(folder: Path) -> None:
        for arch in arches:
            load_project(folder, arch=arch)

    write_project(target, files, force=False, check=check, forcible=False)
    loaded = load_project(target, arch=arches[0])
    report = Report(project=str(target))
    report.facts = {"kernel": str(loaded.source), "org": name, "arches": ", ".join(arches)}
    report.steps = [f"rosk {command} -C {target}" for command in ("plan", "build")]
    return report


def _files(default: Path) -> dict[str, File]:
    """What is copied of the default project."""
    paths = [default / "config/rosk.yaml", *default.glob("config/*/kernel-config")]
    paths += [path for folder in _FOLDERS for path in (default / folder).rglob("*") if path.is_file()]
    files = {
        path.relative_to(default).as_posix(): File(
            data=path.read_bytes(),
            executable=path.is_relative_to(default / "hooks") and bool(path.stat().st_mode & 0o100),
        )
        for path in sorted(paths)
    }
    files["config/rosk.schema.json"] = File(data=schema_text().encode())
    return files


def _named(settings: str, org: str) -> str:
    """The settings with another org, in the comments too."""
    settings, count = re.subn(r"(?m)^org: .*$", f"org: {org}", settings)
    assert count == 1, "the default settings have one line `org: NAME`"
    settings = re.sub(r"(?m)^# suffix: rosk$", f"# suffix: {org}", settings)
    return re.sub(r"(?m)^(#.*(?:VERSION|\d)-)rosk\b", rf"\g<1>{org}", settings)


def _versioned(settings: str, version: str) -> str:
    """The settings with a kernel of kernel.org.

    Raises:
        InputError: There is no such release.
    """
    if not VERSION.fullmatch(version):
        raise InputError(f"{version!r} is not a release of kernel.org", hint="give --kernel a release such as 6.12.64")
    lines = ["  source: kernel.org", f'  version: "{version}"']
    if sha256 := TARBALLS.get(version):
        lines.append(f"  sha256: {sha256}")
    wanted = re.compile(r"(?m)(?<=^kernel:\n)((?:  #.*\n)*)  source: .*\n  version: .*$")
    comment = "  # A release of kernel.org; without `sha256` its checksum comes from the signed sha256sums.asc.\n"
    settings, count = wanted.subn(lambda _: comment + "\n".join(lines), settings)
    assert count == 1, "the default settings start the section `kernel` with source and version"
    return settings
