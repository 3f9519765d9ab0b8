"""`rosk plan`: the graph and the settings as resolved, without an engine."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from builder import graph, stagenames
from builder.context import dockerfiles
from builder.external.dockerfile import with_modules
from builder.project import Project, known_version
from builder.series import flags_for, limits_for


def planned_version(project: Project) -> str:
    """The kernel's version as far as it is known before the source is there: `6.12.64`, `6.12.*` or `*`."""
    source = project.source
    return source.version or (f"{project.settings.kernel.version}.*" if source.kind == "debian" else "*")


def told_version(project: Project) -> str:
    """The same, and for a tarball or a tree what it tells of itself; what a build finds in it is what counts."""
    version = planned_version(project)
    return version if version != "*" else known_version(project.source)[0] or version


def plan_text(project: Project) -> RenderableType:
    """The settings as resolved, the stages with what each takes from, and what comes out of them."""
    release = project.release(planned_version(project))
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(project, release):
        facts.add_row(Text(name, style="bold"), Text(value))
    names = [module.name for module in project.settings.modules]
    sources = stagenames.takes_from(with_modules((dockerfiles() / "kernel.Dockerfile").read_text(), names))
    unused = stagenames.OPTIONAL - ({"external"} if names else set()) - ({"signed"} if project.signing else set())
    stages = Table("stage", "takes from", "what it is", box=None, header_style="bold")
    for name, title in stagenames.STAGES.items():
        if name in unused:
            continue
        takes = ", ".join(stage for stage in stagenames.STAGES if stage in sources[name] - unused)
        stages.add_row(Text(name), Text(takes or "the base image"), Text(title))
    return Group(facts, Text(), stages)


def bake_text(project: Project) -> str:
    """The bake file of the build as JSON; folders that exist only during a build have names in capitals."""
    toolchain = project.settings.toolchain
    context = graph.Context(
        folder=Path("CONTEXT"),
        dockerfile=dockerfiles() / "kernel.Dockerfile",
        source=Path("SOURCE") if project.source.kind != "debian" else None,
        firmware=Path("FIRMWARE") if project.settings.firmware.path is not None else None,
    )
    resolved = graph.Resolved(
        kernel_version=told_version(project),
        epoch=0,
        packages={},
        base=f"rosk-base:{toolchain.suite}" if toolchain.base == "auto" else toolchain.base,
        base_digest="",
    )
    return json.dumps(graph.build_plan(project, context, resolved, output=project.dist), indent=1)


def toolchain_facts(project: Project, version: str) -> list[tuple[str, str]]:
    """What compiles the kernel and why, and what more an old one is told, a row each.

    Args:
        version: The kernel's version, or what starts with it.
    """
    base = project.settings.toolchain.base
    rows = [("toolchain", f"{project.toolchain}, base {base}")]
    if project.toolchain:
        rows.append(("", project.toolchain.why))
    for flag in flags_for(version, project.arch.srcarch):
        rows += [("make variable", str(flag)), ("", f"{flag.why} (ended by {flag.ended})")]
    for limit in limits_for(version, project.arch.srcarch):
        rows.append(
            ("may need a patch", f"{limit.what} (mended by {limit.commit}, in newer releases of the series too)")
        )
    return rows


def _facts(project: Project, release: str) -> list[tuple[str, str]]:
    settings = project.settings
    inputs = [name.split("/")[0] for name in project.inputs]
    firmware = settings.firmware
    return [
        ("kernel release", release),
        ("architecture", f"{project.arch.name} (ARCH={project.arch.kbuild})"),
        ("source", str(project.source)),
        *toolchain_facts(project, told_version(project)),
        ("config", f"{project.inputs['config/kernel-config']}, {len(settings.config.fragments)} fragments"),
        ("patches", str(inputs.count("patches"))),
        ("hooks", str(inputs.count("hooks"))),
        ("external modules", ", ".join(module.name for module in settings.modules) or "none"),
        ("signing key", str(project.signing.key or "not given") if project.signing else "none"),
        ("unlisted modules", settings.lists.unlisted),
        ("soft dependencies", settings.lists.softdeps),
        ("firmware", " ".join([firmware.source, *firmware.packages, str(firmware.path or "")]).strip()),
        ("images", ", ".join(project.image(name, release) for name in graph.IMAGES)),
        ("registries", ", ".join(map(str, project.registries)) or "none"),
        ("output", str(project.dist)),
    ]
