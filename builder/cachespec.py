"""Caches that machines share: what the settings and the command line name, as BuildKit's cache-from and cache-to.

An entry is a folder (it starts with `/`, `./` or `../`), the reference of an image in a registry, or BuildKit's own
form `type=…,key=value`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from builder.cachefolder import folder_tags, make_writable
from builder.errors import InputError

_HOST = r"(?:(?=localhost|[^/]*[.:])[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
_WORDS = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REFERENCE = rf"{_HOST}(?:/{_WORDS})+(?::\w[\w.-]{{0,127}})?"
_OWN_FORM = r"type=[a-z0-9-]+(?:,.+)?"
PATTERN = rf"(?:\.{{0,2}}/.*|{_OWN_FORM}|{_REFERENCE})"
"""A regular expression that a whole entry matches."""

WHAT = "a cache"
HOW = "write a reference (registry.example/acme/cache:6.12), a folder (/path, ./path, ../path) or type=…,key=value"
SECRET_HOW = "BuildKit takes it from the environment (AWS_SECRET_ACCESS_KEY, ACTIONS_RUNTIME_TOKEN and so on)"

_EXPORT = {"mode": "max", "ignore-error": "true"}
_FORMAT = {"oci-mediatypes": "true", "image-manifest": "true", "compression": "zstd"}
_WITH_FORMAT = ("local", "registry")
_OTHER_TAGS = 3


NO_OUTPUT = ["type=cacheonly"]
"""The output of a bake target whose result only stays in the engine's cache."""


@dataclass(frozen=True, kw_only=True)
class Caches:
    """What a solve reads and writes beside the engine's own cache, each entry in BuildKit's form."""

    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


NONE = Caches()


def with_caches(plan: Mapping[str, Any], caches: Caches) -> dict[str, Any]:
    """A bake file whose targets all read the caches; `release`, which has all that is dear below it, writes them."""
    if not (caches.sources or caches.targets):
        return dict(plan)
    targets = {name: {**target, "cache-from": list(caches.sources)} for name, target in plan["target"].items()}
    if "release" in targets and caches.targets:
        targets["release"]["cache-to"] = list(caches.targets)
    return {**plan, "target": targets}


def written_caches(plan: Mapping[str, Any]) -> list[str]:
    """The caches that the targets of a bake file write, in BuildKit's form."""
    return [form for target in plan["target"].values() for form in target.get("cache-to", ())]


def without_targets(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A bake file whose targets write none."""
    targets = {name: {key: each[key] for key in each if key != "cache-to"} for name, each in plan["target"].items()}
    return {**plan, "target": targets}


def must_be_written(plan: Mapping[str, Any]) -> bool:
    """Whether a solve is to fail of a cache that cannot be written."""
    return any("ignore-error=true" not in _words(form) for form in written_caches(plan))


def reads_caches(plan: Mapping[str, Any]) -> bool:
    """Whether a target of a bake file reads any."""
    return any(target.get("cache-from") for target in plan["target"].values())


def without_sources(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A bake file whose targets read none; what is written stays."""
    return {**plan, "target": {name: {**target, "cache-from": []} for name, target in plan["target"].items()}}


def without_exports(caches: Caches) -> Caches:
    """What is left of them for a builder that exports no caches: it reads all, and writes what goes with a result."""
    return replace(caches, targets=tuple(form for form in caches.targets if "type=inline" in _words(form)))


def check_entry(entry: str) -> str:
    """An entry of the command line, once it is one.

    Raises:
        InputError: It is none.
    """
    if not re.fullmatch(PATTERN, entry):
        raise InputError(f"{entry!r} is not {WHAT}", hint=HOW)
    return entry


def has_secret(entry: str) -> bool:
    """Whether an entry in BuildKit's form has a key that holds a secret, which would end up in logs."""
    keys = keys_of(entry) if entry.startswith("type=") else ()
    return any(re.search(r"secret|token|password", key.lower()) for key in keys)


def is_folder(entry: str) -> bool:
    """Whether an entry names a folder."""
    return entry.startswith(("/", "./", "../"))


def make_caches(
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    root: Path,
    tag: str,
    warn: Callable[[str], None],
    variant: str = "",
    strict: bool = False,
) -> Caches:
    """Bring entries into BuildKit's form, without those that cannot work on this machine.

    Args:
        sources, targets: Entries that match PATTERN, to read from and to write to.
        root: The folder that relative paths start from.
        tag: The name of this project's cache in a folder, which may hold several.
        variant: What ends a reference in a registry (`cache:6.12-VARIANT`); one without it is read as well.
        warn: Told which folders are left out, and why.
        strict: A cache that cannot be written fails the solve; else it is a warning.
    """
    read = [form for entry in dict.fromkeys(sources) for form in _source(entry, root, tag, variant, warn)]
    places: dict[object, str] = {}
    for entry in dict.fromkeys(targets):
        for form in _target(entry, root, tag, variant, warn):
            places.setdefault(_place(form), form)  # BuildKit refuses two exports to one place
    written = list(places.values())
    if strict:
        written = [_joined(word for word in _words(form) if word != "ignore-error=true") for form in written]
    return Caches(sources=tuple(read), targets=tuple(written))


def folder_tag(*words: str) -> str:
    """A name for a cache in a folder, made of words such as org, architecture and kernel."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(words)).strip("-._")[:120]


def references(entry: str, variant: str) -> tuple[str, ...]:
    """What a cache in a registry is called: for a variant by a name of its own, else by the common one."""
    return tuple(dict.fromkeys((_of_variant(entry, variant), entry)))


def _of_variant(reference: str, variant: str) -> str:
    """A reference of its own for a variant."""
    if not variant:
        return reference
    return f"{reference}{'-' if ':' in reference.rpartition('/')[2] else ':'}{variant}"


def _source(entry: str, root: Path, tag: str, variant: str, warn: Callable[[str], None]) -> list[str]:
    if is_folder(entry):
        folder = _folder(entry, root)
        tags = folder_tags(folder)
        if not tags:
            warn(f"there is no cache in {folder}: nothing is taken from it")
        chosen = [tag] if tag in tags else []
        chosen += [other for other in tags if other != tag][:_OTHER_TAGS]
        return [_joined(("type=local", f"src={folder}", f"tag={name}")) for name in chosen]
    if entry.startswith("type="):
        return [_joined(_absolute(word, "src", root) for word in _words(entry))]
    return [_joined(("type=registry", f"ref={reference}")) for reference in references(entry, variant)]


def _target(entry: str, root: Path, tag: str, variant: str, warn: Callable[[str], None]) -> list[str]:
    if entry.startswith("type="):
        words = [_absolute(word, "dest", root) for word in _words(entry)]
        keys = keys_of(entry)
        if "dest" in keys and not make_writable(_folder(keys["dest"], root), warn):
            return []
        # BuildKit exports to all places of a solve what it makes for one of them: the formats have to be the same.
        wanted = {**_EXPORT, **(_FORMAT if keys["type"] in _WITH_FORMAT else {})}
        return [_joined((*words, *(f"{key}={value}" for key, value in wanted.items() if key not in keys)))]
    options = (f"{key}={value}" for key, value in {**_EXPORT, **_FORMAT}.items())
    if not is_folder(entry):
        return [_joined(("type=registry", f"ref={_of_variant(entry, variant)}", *options))]
    folder = _folder(entry, root)
    if not make_writable(folder, warn):
        return []
    return [_joined(("type=local", f"dest={folder}", f"tag={tag}", *options))]


def _place(form: str) -> object:
    """Where a cache is written to."""
    keys = keys_of(form)
    if keys["type"] not in _WITH_FORMAT:
        return form
    return tuple(keys.get(key) for key in ("type", "ref", "dest", "tag"))


def _folder(entry: str, root: Path) -> Path:
    return (root / entry).resolve()


def _absolute(word: str, key: str, root: Path) -> str:
    name, _, value = word.partition("=")
    return f"{key}={_folder(value, root)}" if name == key else word


def keys_of(form: str) -> dict[str, str]:
    """The keys of an entry in BuildKit's form, with their values."""
    return dict(word.partition("=")[::2] for word in _words(form))


def _words(form: str) -> list[str]:
    """The words of an entry in BuildKit's form, which is a line of CSV."""
    return next(csv.reader([form]), [])


def _joined(words: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(words)
    return line.getvalue()


def told(warnings: Sequence[str]) -> list[str]:
    """What `BuildState.warnings` says, for people: each target says the same of a dead cache, once is enough."""
    return list(dict.fromkeys(map(_told, warnings)))


def _told(warning: str) -> str:
    found = re.fullmatch(
        r"(?:\[[^\]]*\] )?(importing cache manifest from|exporting cache to) (.+?): (.*)", warning, re.S
    )
    if not found:
        return warning
    why = found[3].rpartition('": ')[2]
    if found[1].startswith("importing"):
        why += " (the next build that writes it makes it smaller)" if "is too large" in why else ""
        return f"nothing was taken from the cache {found[2]}: {why}"
    return f"the cache was not written to the {found[2]}: {why}"
