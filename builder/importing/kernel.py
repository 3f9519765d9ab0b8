"""Which kernel a checkout of os-kernel is for, what it is called, and what compiles it.

Most branches name no version: it is given to make (`KERNEL_TAG=6.12.95 make release`). What they were last released
or configured with is the best that they say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from builder.errors import InputError
from builder.importing.gitrefs import tags_at_head
from builder.importing.layout import HEADER, Checkout
from builder.inputs.kernelorg import VERSION
from builder.series import NEEDED_PACKAGES, SUITES, suite_for
from builder.settings import Settings
from builder.stages.dotconfig import Option

GCC = {suite.name: suite.gcc for suite in SUITES}
"""The compiler of each Debian suite that rosk compiles with, oldest first."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Something that was looked for, and where it was found, for people."""

    value: str
    where: str


def config_version(data: bytes, name: str) -> Found | None:
    """The release of kernel.org that a config's header names; one of another tree counts as the one it is of."""
    match = HEADER.search(data[:4096])
    if match is None:
        return None
    version = re.sub(r"^(\d+\.\d+)\.0$", r"\1", match[1].decode())
    other = f", which says {(match[1] + match[2]).decode(errors='replace')}" if match[2] else ""
    return Found(value=version, where=f"the header of {name}{other}")


def kernel_version(checkout: Checkout, configs: Sequence[tuple[str, bytes]], given: str | None) -> Found:
    """The kernel's version.

    Args:
        checkout: The checkout.
        configs: The configs that are taken over: path in the checkout and content.
        given: What the command line names, which wins.

    Raises:
        InputError: It is no release of kernel.org, or nothing names one.
    """
    if given is not None:
        version = given.removeprefix("v")
        if not VERSION.fullmatch(version):
            raise InputError(
                f"{given!r} is not a release of kernel.org", hint="give --kernel a release such as 6.12.64"
            )
        return Found(value=version, where="the command line (--kernel or KERNEL_TAG)")
    fixed = checkout.settings.get("KERNEL_TAG")
    if fixed and VERSION.fullmatch(fixed.value):
        return Found(value=fixed.value, where=f"KERNEL_TAG in {fixed.where}")
    named = [found for name, data in configs if (found := config_version(data, name))]
    tagged = _tag(tags_at_head(checkout.root), {_series(found.value) for found in named})
    if tagged:
        return tagged
    for found in named:
        if VERSION.fullmatch(found.value):
            return found
    raise InputError(
        "nothing in the checkout says which kernel it is for",
        where=checkout.root,
        hint="give the version that you give to make: KERNEL_TAG=6.12.64 rosk import …, or --kernel 6.12.64",
    )


def _tag(tags: Iterable[str], series: set[str]) -> Found | None:
    """The newest release that a tag (`v5.10.248-burmilla`) is named for, of the series of the configs."""
    found = {}
    for tag in tags:
        match = re.match(r"v?(\d+\.\d+(?:\.\d+)?)-", tag)
        if match and VERSION.fullmatch(match[1]) and _series(match[1]) in series:
            found[tuple(map(int, match[1].split(".")))] = Found(value=match[1], where=f"the git tag {tag}")
    return found[max(found)] if found else None


def _series(version: str) -> str:
    return ".".join(version.split(".")[:2])


def org(checkout: Checkout, suffixes: Sequence[str]) -> Found:
    """The org in the images' names: OS_REPO, or what the kernel release ends in.

    Args:
        checkout: The checkout.
        suffixes: CONFIG_LOCALVERSION of each config, without its dash.

    Raises:
        InputError: None of them can be one.
    """
    fixed = checkout.settings.get("OS_REPO")
    candidates = [Found(value=fixed.value, where=f"OS_REPO in {fixed.where}")] if fixed else []
    candidates += [Found(value=suffix, where="CONFIG_LOCALVERSION") for suffix in suffixes]
    for found in candidates:
        if is_org(found.value):
            return found
    raise InputError(
        "nothing in the checkout says whose images these are",
        where=checkout.root,
        hint="set OS_REPO in its Dockerfile.dapper to a name of a-z and 0-9",
    )


def is_org(name: str) -> bool:
    return org_problem(name) is None


def org_problem(name: str) -> tuple[str, str] | None:
    """What is wrong with a name for an org, and how to write it, by the settings' own rule; None when it can be one."""
    return settings_problem({"org": name})


def settings_problem(keys: dict[str, object]) -> tuple[str, str] | None:
    """What is wrong with these top keys of settings, and what to do; None when nothing is."""
    try:
        Settings.model_validate({"org": "rosk", "kernel": {"source": "debian", "version": "6.12"}, **keys})
    except ValidationError as error:
        problem = error.errors()[0].get("ctx", {}).get("error")
        return str(problem or error.errors()[0]["msg"]), getattr(problem, "hint", "see the table of settings")
    return None


def suite(checkout: Checkout, options: Iterable[Option], version: str) -> Found:
    """The Debian suite whose compiler is nearest to theirs, but no newer where that can be.

    Args:
        checkout: The checkout.
        options: Those of the configs.
        version: The kernel's version.
    """
    image = checkout.image
    match = re.search(r"gcc[:-](\d+)", image.value) if image else None
    if image and match:
        theirs, where = int(match[1]), f"{image.value} ({image.where})"
    else:
        recorded = next((option.value for option in options if option.name == "GCC_VERSION"), "")
        if re.fullmatch(r"\d{5,6}", recorded):  # 140200 is 14.2.0 (scripts/cc-version.sh)
            theirs, where = int(recorded) // 10000, f"gcc {int(recorded) // 10000} (CONFIG_GCC_VERSION)"
        else:
            fits = suite_for(version)
            return Found(value=fits.name, where=f"what compiled Linux {_series(version)} in its day")
    best = max((name for name, gcc in GCC.items() if gcc <= theirs), key=GCC.__getitem__, default=next(iter(GCC)))
    if theirs < GCC[best]:
        where += ", which is older than any that Debian supplies"
    return Found(value=best, where=where)


def packages(options: Iterable[Option], gcc: int) -> dict[str, str]:
    """Debian packages that the configs need beside rosk's toolchain, each with the option that needs it."""
    needed: dict[str, str] = {}
    for option in options:
        if option.value == "y":
            plugins = ("g++", f"gcc-{gcc}-plugin-dev") if option.name == "GCC_PLUGINS" else ()
            for package in (*NEEDED_PACKAGES.get(option.name, ()), *plugins):
                needed.setdefault(package, f"CONFIG_{option.name}")
    return dict(sorted(needed.items()))
