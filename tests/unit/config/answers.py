"""Answers of the engine for a kernel of a few options, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from builder.config.model import Answer, Asked, Dropped, Facts, KernelOption, Resolved

FILE = "config/kernel-config"


def option(type: str = "bool", prompt: str = "", where: str = "drivers/net/Kconfig", **more: Any) -> KernelOption:
    given = {"help": "", "line": 1, "selects": (), "needs": (), **more}
    return KernelOption(type=type, prompt=prompt, where=where, **given)


OPTIONS = {
    "LOCALVERSION": option("string", "Local version", "init/Kconfig"),
    "NET": option("bool", "Networking support", "net/Kconfig"),
    "INET": option("bool", "TCP/IP networking", "net/Kconfig", needs=("NET",)),
    "NET_UDP_TUNNEL": option("tristate", "", "net/Kconfig", needs=("INET",)),
    "VXLAN": option("tristate", "Virtual LAN", selects=("NET_UDP_TUNNEL",), needs=("INET",)),
    "DUMMY": option("tristate", "Dummy net driver support"),
    "LOG_BUF_SHIFT": option("int", "Kernel log buffer size", "init/Kconfig"),
    "PHYSICAL_START": option("hex", "Physical address", "arch/x86/Kconfig"),
    "CMDLINE": option("string", "Built-in kernel command string", "arch/x86/Kconfig"),
    "KERNEL_GZIP": option("bool", "Gzip", "init/Kconfig", choice="init/Kconfig:9"),
    "KERNEL_XZ": option("bool", "XZ", "init/Kconfig", choice="init/Kconfig:9"),
}
FACTS = Facts(version="6.12.99", options=OPTIONS, defaults={"NET": "y"}, defconfig=None)


def answer(
    values: Mapping[str, str],
    *,
    asked: Mapping[str, Asked] | None = None,
    dropped: tuple[Dropped, ...] = (),
    facts: Facts = FACTS,
    form: str = "minimal",
) -> Answer:
    """An answer with these values; without `asked`, the project's config asks for all of them."""
    given = {name: Asked(value=value, where=FILE, line=at) for at, (name, value) in enumerate(values.items(), 1)}
    text = "".join(f"CONFIG_{name}={value}\n" for name, value in values.items())
    config = Resolved(form=form, values=values, text=text, asked=given if asked is None else asked, dropped=dropped)
    return Answer(facts=facts, config=config)


def with_stop(told: Answer, stop: Mapping[str, Any]) -> Answer:
    """The answer with something more that a build stops for."""
    return replace(told, config=replace(told.config, stops=(stop,)))


def dropped(name: str, asked: str, reason: str, *first: tuple[str, str], line: int = 1, where: str = FILE) -> Dropped:
    return Dropped(name=name, asked=asked, got="n", where=where, line=line, reason=reason, first=first, refused=True)
