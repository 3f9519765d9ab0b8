"""What the settings of an imported project are to say, and what that changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.importing import firmware, kernel
from builder.importing.layout import Checkout
from builder.importing.report import Report, some
from builder.importing.settingsfile import Choice
from builder.stages.dotconfig import Option


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What was taken over of a checkout, as far as the settings follow from it.

    Attributes:
        configs: Each config's path in the checkout and its content.
        options: The options of each, by architecture.
        firmware: Each path of a firmware list, to the list in the checkout.
        ships_all: Whether the rest of linux-firmware went into the extras package.
    """

    configs: Sequence[tuple[str, bytes]]
    options: Mapping[str, Sequence[Option]]
    firmware: Mapping[str, str]
    ships_all: bool


def choose(checkout: Checkout, taken: Taken, *, version: str | None, target: Path, report: Report) -> Choice:
    """Find out what the settings are to say; `report` learns what that changes.

    Raises:
        InputError: No kernel, or no org, can be told.
    """
    found = kernel.kernel_version(checkout, taken.configs, version)
    _say_kernel(checkout, taken, found, given=version is not None, report=report)
    suffixes = _suffixes(taken, report)
    org = kernel.org(checkout, suffixes)
    _say_org(checkout, org, report)
    every = [option for options in taken.options.values() for option in options]
    suite = kernel.suite(checkout, every, found.value)
    gcc = kernel.GCC[suite.value]
    report.change("toolchain.suite", f"gcc {gcc} of Debian's {suite.value}, the nearest to {suite.where}")
    packages = kernel.packages(every, gcc)
    if packages:
        why = ", ".join(f"{package} ({option})" for package, option in packages.items())
        report.change("toolchain.packages", f"names what the config needs beside rosk's toolchain: {why}")
    tag = checkout.settings.get("FIRMWARE_TAG")
    return Choice(
        org=org,
        suffix=_suffix(suffixes, org.value, report),
        kernel=found,
        suite=suite,
        packages=packages,
        firmware=_firmware_packages(checkout, taken, suite.value, target, report),
        firmware_tag=tag.value if tag else None,
        firmware_listed=bool(taken.firmware),
        arches=tuple(taken.options),
    )


def _say_kernel(checkout: Checkout, taken: Taken, found: kernel.Found, *, given: bool, report: Report) -> None:
    if not given and "KERNEL_TAG" not in checkout.settings:
        report.change(
            "kernel.version",
            f"is {found.value}, by {found.where}: no script names one, it was given to make as KERNEL_TAG; that, or "
            "--kernel, gives it here too",
        )
    for name, data in taken.configs:
        theirs = kernel.config_version(data, name)
        if theirs and theirs.value != found.value:
            report.change(
                name,
                f"was made for Linux {theirs.value}, and the project is for {found.value}: new options get defaults",
            )
    url = checkout.settings.get("KERNEL_URL")
    if url and not re.match(r"https?://([\w.-]+\.)?kernel\.org/", url.value):
        report.leave(
            url.where,
            f"the source was {url.value}; here it is kernel.org's {found.value}. To keep it, download it and set "
            "kernel.source to tarball, and kernel.path to the file",
        )


def _say_org(checkout: Checkout, org: kernel.Found, report: Report) -> None:
    """That OS_REPO cannot name the images, where it does not."""
    wanted = checkout.settings.get("OS_REPO")
    problem = kernel.org_problem(wanted.value) if wanted else None
    if wanted and problem:
        why = f"OS_REPO cannot be the org: {problem[0]}; it is {org.value} now, by {org.where}"
        report.leave(wanted.where, why, error=True)


def _suffixes(taken: Taken, report: Report) -> list[str]:
    """CONFIG_LOCALVERSION of each config, once each, without its dash."""
    found: list[str] = []
    for arch, options in taken.options.items():
        value = next((option.value.strip('"') for option in options if option.name == "LOCALVERSION"), "")
        if value and not value.startswith("-"):
            report.leave(
                f"CONFIG_LOCALVERSION of {arch}", f"{value!r} has no leading dash, as rosk's suffix always has"
            )
        elif value and value[1:] not in found:
            found.append(value[1:])
    return found


def _suffix(suffixes: list[str], org: str, report: Report) -> str | None:
    """What the kernel release ends in, where that is not the org and can be a suffix."""
    if len(suffixes) > 1:
        report.leave("CONFIG_LOCALVERSION", f"it differs ({some(suffixes)}): a project has one, and the first is it")
    for suffix in suffixes[:1]:
        problem = kernel.settings_problem({"suffix": suffix})
        if problem is None:
            return suffix if suffix != org else None
        report.leave("CONFIG_LOCALVERSION", f"{problem[0]}; it is {org} now")
    return None


def _firmware_packages(checkout: Checkout, taken: Taken, suite: str, target: Path, report: Report) -> tuple[str, ...]:
    """Debian's packages with the listed firmware; says what that changes."""
    if not taken.firmware:
        return ()
    found = firmware.debian_packages(taken.firmware, suite)
    tag = checkout.settings.get("FIRMWARE_TAG")
    of = f"the tag {tag.value} of linux-firmware ({tag.where})" if tag else "linux-firmware as it was on the day"
    now = f"that of Debian's {some(list(found.packages), 20)}, of another date" if found.packages else "none"
    report.change("firmware", f"os-kernel shipped that of {of}; here it is {now}")
    for path in found.unknown:
        report.leave(
            f"{taken.firmware[path]}: {path}",
            f"no firmware package of Debian's {suite} is known to have it; the line is kept",
        )
    if taken.ships_all and found.packages:
        report.change(
            "lists/ARCH/firmware-extra.list",
            "puts the rest of these packages into the extras package, where os-kernel put the rest of linux-firmware",
        )
    if tag and re.fullmatch(r"[\w.-]+", tag.value):
        report.steps.append(
            f"for the firmware of that tag: download linux-firmware-{tag.value}.tar.xz from kernel.org into "
            f"{target}, and take the lines for it in config/rosk.yaml"
        )
    return found.packages
