"""Reads Module.symvers: what a kernel and its modules export."""

from __future__ import annotations

from dataclasses import dataclass

_EXPORT = "EXPORT_"


@dataclass(frozen=True, kw_only=True, slots=True)
class Symbol:
    """An exported symbol.

    Attributes:
        crc: The CRC of its type; 0 without `CONFIG_MODVERSIONS`.
        exporter: `vmlinux`, or the module's path without its suffix (`drivers/net/dummy`).
        export: `EXPORT_SYMBOL`, or `EXPORT_SYMBOL_GPL`.
        namespace: What a module has to import to use it; empty where there is none.
    """

    crc: int
    exporter: str
    export: str
    namespace: str = ""

    @property
    def gpl(self) -> bool:
        """Whether only a module with a GPL-compatible license may use it."""
        return self.export.endswith("_GPL")


def parse_symvers(text: str) -> dict[str, Symbol]:
    """The symbols of a Module.symvers, by name.

    The fields are separated by tabs: CRC, symbol, module, export type, namespace (Documentation/kbuild/modules.rst).
    Linux 5.4 has the namespace before the module, older ones have none (`write_dump` in scripts/mod/modpost.c).

    Raises:
        ValueError: It is no such file; the message names the line.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split("\t")
        try:
            if len(fields) > 4 and fields[4].startswith(_EXPORT):
                crc, name, namespace, exporter, export = fields[:5]
            else:
                crc, name, exporter, export, namespace = (*fields, "")[:5]
            found[name] = Symbol(crc=int(crc, 16), exporter=exporter, export=export, namespace=namespace)
        except ValueError:
            raise ValueError(f"line {number} of Module.symvers is none of its form: {line[:60]!r}") from None
    return found
