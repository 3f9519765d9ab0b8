"""The report's model: what is known of a release as one JSON object, which the page shows.

Pure: nothing is read here. Keys with nothing in them are left out where there are many of a kind (modules, options).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from builder.releasefolder import ReleaseFolder
from builder.report.contents import Contents
from builder.report.record import BootFacts, BuildFacts, ConfigFacts, ModuleFacts, VerifyFacts
from builder.stages.dotconfig import is_kept, value_of

_CONFIG = "CONFIG_"
_PACKAGES = {"main": "kernel", "extra": "extras"}
_TWO_LEVELS = ("arch", "drivers", "net", "sound")
"""Folders of the kernel source so large that each folder in them is a subsystem of its own."""

F = TypeVar("F", BuildFacts, VerifyFacts, BootFacts)


@dataclass(frozen=True, kw_only=True)
class Known:
    """All that a report is made of.

    Attributes:
        release: The folder with its manifest.
        manifest: SHA-256 of its `manifest.json` (hex); None when there is none.
        contents: What its packages hold.
        options: The shipped config, by option without `CONFIG_`; what is off is `n`.
        build, verify, boot: What the commands of these names left there; None: nothing.
    """

    release: ReleaseFolder
    manifest: str | None
    contents: Contents
    options: Mapping[str, str]
    build: BuildFacts | None = None
    verify: VerifyFacts | None = None
    boot: BootFacts | None = None


def report_model(known: Known) -> dict[str, Any]:
    """The model. Sizes are bytes, times seconds; the manifest's own parts are as in `manifest.json`."""
    manifest = known.release.manifest
    gaps: list[str] = []
    build = _own(known.build, known, "build", gaps)
    verify = _own(known.verify, known, "verify", gaps)
    boot = _own(known.boot, known, "boot", gaps)
    facts = build or BuildFacts()
    modules = facts.modules or known.contents.modules
    return {
        "release": known.release.v,
        "arch": known.release.a,
        "epoch": manifest.get("source_date_epoch"),
        "rosk": manifest.get("rosk"),
        "source": manifest.get("source") or {},
        "toolchain": manifest.get("toolchain") or {},
        "reproduce": shlex.join(map(str, manifest.get("reproduce") or ())),
        "inputs": _files(manifest.get("inputs")),
        "outputs": _files(manifest.get("outputs")) or _found(known.release),
        "images": manifest.get("images") or dict.fromkeys(known.release.images, ""),
        "settings": manifest.get("settings") or {},
        "stages": [stage.model_dump(exclude_defaults=True) for stage in facts.stages],
        "compiled": facts.compiled,
        "notices": [notice.model_dump(exclude_defaults=True) for notice in facts.notices],
        "boot_files": _sized(known.contents.boot),
        "firmware": {
            "revision": (manifest.get("firmware") or {}).get("revision"),
            "files": [
                {"name": name, "package": _PACKAGES[package], "size": size}
                for name, (package, size) in sorted(known.contents.firmware.items())
            ],
        },
        "modules": _modules(modules, set(known.contents.firmware), boot),
        "config": _config(known.options, facts.config),
        "verify": verify.model_dump(exclude_defaults=True)["checks"] if verify else None,
        "boot": boot.model_dump(exclude={"manifest", "modules"}) if boot else None,
        "gaps": [*gaps, *known.contents.unread],
    }


def _own(facts: F | None, known: Known, name: str, gaps: list[str]) -> F | None:
    """What belongs to this release; what says that it belongs to another is left out, and a line in `gaps` says so."""
    if facts is None or facts.manifest is None or facts.manifest == known.manifest:
        return facts
    gaps.append(f"{name}.json is of another release and not shown; make it again")
    return None


def subsystem(path: str) -> str:
    """The part of the kernel that a module belongs to: `drivers/net`, `fs`, `crypto`.

    Args:
        path: As under lib/modules/V. What lies outside of `kernel/` is named by its first folder (`updates`).
    """
    folders = path.removeprefix("kernel/").split("/")[:-1]
    return "/".join(folders[: 2 if folders and folders[0] in _TWO_LEVELS else 1]) or "other"


def _files(entries: Mapping[str, Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    return [{"name": name, **entry} for name, entry in (entries or {}).items()]


def _found(release: ReleaseFolder) -> list[dict[str, Any]]:
    """The packages as they lie there, for a release without a manifest."""
    return [{"name": path.name, "size": path.stat().st_size} for path in release.packages.values()]


def _sized(entries: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"name": name, "size": size} for name, size in sorted(entries.items())]


def _modules(modules: Mapping[str, ModuleFacts], shipped: set[str], boot: BootFacts | None) -> list[dict[str, Any]]:
    """The modules in the order of their paths; `missing` is the firmware that no package has."""
    tried = {module.path: module for module in boot.modules} if boot else {}
    rows = []
    for path, module in sorted(modules.items()):
        row: dict[str, Any] = {
            "path": path,
            "package": _PACKAGES[module.package],
            "subsystem": subsystem(path),
            "size": module.size,
            "option": (module.option or "").removeprefix(_CONFIG),
            "needs": module.depends,
            "softdeps": module.softdeps,
            "firmware": module.firmware,
            "missing": [name for name in module.firmware if name not in shipped],
            "license": module.license,
            "listed": module.listed,
        }
        if path in tried:
            row["boot"] = ": ".join(filter(None, (tried[path].outcome, tried[path].why)))
        rows.append({key: value for key, value in row.items() if value not in (None, "", [])})
    return rows


def _config(options: Mapping[str, str], facts: ConfigFacts) -> dict[str, Any]:
    """The shipped config against what was asked for and against defaults; each is None where it is not known."""
    return {
        "form": facts.form,
        "asked": facts.asked is not None,
        "defaults": facts.defaults.by if facts.defaults else None,
        "options": list(_options(options, facts)),
    }


def _options(options: Mapping[str, str], facts: ConfigFacts) -> Iterator[dict[str, Any]]:
    """Each option that the config, what was asked for, or the defaults know.

    `state` is `asked`, `changed` (it is not what was asked for), or `derived` (kconfig's own doing); it is absent where
    what was asked for is not known.
    """
    asked = {name.removeprefix(_CONFIG): ask for name, ask in (facts.asked or {}).items()}
    changed = {name.removeprefix(_CONFIG) for name in facts.changed}
    known = facts.defaults.values if facts.defaults else {}
    defaults = {name.removeprefix(_CONFIG): value for name, value in known.items()}
    for name in _in_order(options, asked, changed, defaults):
        value, ask = value_of(options, name), asked.get(name)
        row: dict[str, Any] = {"name": name, "value": value}
        if ask is not None:
            row |= {"asked": ask.value, "where": f"{ask.where}:{ask.line}" if ask.line else ask.where}
        if name in changed or (ask is not None and not is_kept(ask.value, value)):
            row["state"] = "changed"
        elif facts.asked is not None:
            row["state"] = "asked" if ask is not None else "derived"
        default = value_of(defaults, name)
        if facts.defaults is not None and not (is_kept(default, value) or is_kept(value, default)):
            row["default"] = default
        yield row


def _in_order(*names: Sequence[str] | Mapping[str, Any] | set[str]) -> list[str]:
    """All names once: those of the config as they stand there, then the others, sorted."""
    first, *others = names
    return [*first, *sorted({name for more in others for name in more} - set(first))]
