"""What a report is made of beside the release's own files: `build.json`, `verify.json` and `boot.json` in `dist`.

`rosk build` writes the first with what `build_facts` gives; the others are what `rosk verify` and `rosk boot` found.
All are read as untrusted data. One that has a `manifest` (SHA-256 of a `manifest.json`, hex) belongs to that very
release and to no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from builder.engine.events import BuildState
from builder.errors import InputError
from builder.project import Project
from builder.report.timeline import timeline
from builder.reports import Notice

Seconds = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    """What is read of a JSON object; whatever else is in it does not matter."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Span(_Part):
    """One stage of the build; see `builder.report.timeline.StageTime`."""

    name: str
    title: str
    state: str
    started: Seconds | None = None
    ended: Seconds | None = None
    busy: list[tuple[Seconds, Seconds]] = []


class Noticed(_Part):
    """One thing to look at; see `builder.reports.Notice`."""

    kind: str
    what: str
    where: str = ""


class ModuleFacts(_Part):
    """One module, as `builder.stages.split.describe` has it; `option` is the config option that builds it."""

    package: Literal["main", "extra"]
    size: int
    depends: list[str] = []
    softdeps: list[str] = []
    firmware: list[str] = []
    license: str | None = None
    listed: bool | None = None
    option: str | None = None


class Ask(_Part):
    """What the project asks for: an option's value, and the file and line of it in the build context."""

    value: str
    where: str = ""
    line: int | None = None


class Defaults(_Part):
    """A whole config to compare with: the command that makes it, and its values by option, without those that are n."""

    by: str
    values: dict[str, str]


class ConfigFacts(_Part):
    """The report of the configure stage. Options are named with their `CONFIG_`.

    Attributes:
        form: `full` or `minimal`.
        changed: Options that did not come out as asked, with what they became.
        asked: All that the project's files ask for; None where that was not recorded.
    """

    form: str = ""
    changed: dict[str, str] = {}
    asked: dict[str, Ask] | None = None
    defaults: Defaults | None = None


class BuildFacts(_Part):
    """`build.json`; every part may be absent."""

    manifest: str | None = None
    stages: list[Span] = []
    compiled: dict[str, Any] = {}
    notices: list[Noticed] = []
    modules: dict[str, ModuleFacts] = {}
    config: ConfigFacts = ConfigFacts()


class ManifestFacts(_Part):
    """What the report takes of `manifest.json` (see `builder.manifestschema`); every part may be absent."""

    source_date_epoch: int | None = None
    rosk: str | None = None
    source: dict[str, Any] | None = None
    toolchain: dict[str, Any] | None = None
    reproduce: list[str] | None = None
    inputs: dict[str, dict[str, Any]] | None = None
    outputs: dict[str, dict[str, Any]] | None = None
    images: dict[str, str] | None = None
    settings: dict[str, Any] | None = None
    firmware: dict[str, Any] | None = None


class Verified(_Part):
    """One check of `rosk verify`; see `builder.verify.model`."""

    name: str
    status: Literal["ok", "failed", "skipped", "unchecked"]
    saw: str = ""
    meaning: str = ""
    details: list[str] = []


class VerifyFacts(_Part):
    """`verify.json`."""

    manifest: str | None = None
    checks: list[Verified]


class BootCheck(_Part):
    """One thing that was looked at in the booted machine; `why` says why it failed."""

    name: str
    ok: bool
    why: str = ""


class BootModule(_Part):
    """What came of loading one module in it; `why` is for those that did not load."""

    path: str
    outcome: str
    why: str = ""


class Diagnosis(_Part):
    """Why a boot is a failure: one line, further lines, and the next step."""

    what: str
    details: list[str] = []
    hint: str = ""


class BootFacts(_Part):
    """`boot.json`; see `builder.boot.run.as_json`. Where it is not `ok`, `diagnosis` says what is wrong."""

    manifest: str | None = None
    ok: bool
    seconds: Seconds | None = None
    accel: str = ""
    diagnosis: Diagnosis | None = None
    checks: list[BootCheck] = []
    modules: list[BootModule] = []


F = TypeVar("F", BuildFacts, VerifyFacts, BootFacts)


def read_facts(path: Path, form: type[F]) -> F | None:
    """One of the files; None when it is not there.

    Raises:
        InputError: It is not of this form.
    """
    hint = f"remove it, or make it again (rosk {path.stem})"
    try:
        if path.is_fifo():  # reading would wait for a writer
            raise InputError("it cannot be read: it is a pipe", where=path, hint=hint)
        return form.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise _invalid(error, path, hint) from error
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror or error}", where=path, hint=hint) from error


def check_manifest(manifest: Mapping[str, Any], path: Path) -> None:
    """See that a manifest, whoever wrote it, can be shown.

    Args:
        path: Where it was read, for messages.

    Raises:
        InputError: It is not of the form that rosk writes.
    """
    hint = "build the release again, or remove it"
    try:
        ManifestFacts.model_validate(manifest)
        json.dumps(manifest, allow_nan=False)
    except ValidationError as error:
        raise _invalid(error, path, hint) from error
    except ValueError as error:  # Python reads NaN and Infinity, which are no JSON
        raise InputError(f"it is no manifest: {error}", where=path, hint=hint) from error


def _invalid(error: ValidationError, path: Path, hint: str) -> InputError:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return InputError(f"{place}: {first['msg']}" if place else first["msg"], where=path, hint=hint)


def build_facts(
    project: Project,
    reports: Path,
    *,
    states: Sequence[BuildState],
    notices: Sequence[Notice],
    compiled: Mapping[str, Any],
) -> dict[str, Any]:
    """What `rosk build` keeps in `build.json` for the report.

    Args:
        reports: The folder with the reports that the build exported.
        states: What its solves did, in their order.
        notices: What it noticed.
        compiled: What its compile did; empty when that came from the cache.
    """
    config = json.loads((reports / "config.json").read_text())
    for ask in (config.get("asked") or {}).values():
        ask["where"] = str(project.origin(ask["where"]) or ask["where"])
    return {
        "stages": [asdict(stage) for stage in timeline(states, project.name)],
        "notices": [asdict(notice) for notice in notices],
        "compiled": {name: value for name, value in compiled.items() if name != "warnings"},
        "modules": json.loads((reports / "modules.json").read_text()),
        "config": config,
    }
