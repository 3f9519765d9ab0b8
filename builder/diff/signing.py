"""Who signed the modules of a release, and what it means for external modules that the next one has another key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from builder.diff.contents import COMPRESSED, DAMAGED, Contents
from builder.verify.der import INTEGER, OID, SEQUENCE, Value, values

_COMMON_NAME = bytes.fromhex("550403")


@dataclass(frozen=True, kw_only=True)
class Signed:
    """The signatures of a release's modules.

    Attributes:
        keys: Signer (`builder.verify.modulesignature`) to how many modules it signed.
        unsigned: How many nobody signed.
    """

    keys: Mapping[str, int]
    unsigned: int

    def describe(self) -> str:
        """Whose keys they are of: `12 by modules of acme (serial 3f2a04c1)`; `none`."""
        told = [f"{number} by {name_of(key)}" for key, number in self.keys.items()]
        if told and self.unsigned:
            told.append(f"{self.unsigned} not signed")
        return ", ".join(told) or "none"


def signed(contents: Contents) -> Signed | None:
    """Who signed; None where that is not known: there are no modules, or they are compressed."""
    if not contents.modules or any(path.endswith(COMPRESSED) for path in contents.modules):
        return None
    signers = Counter(module.signer for module in contents.modules.values())
    unsigned = signers.pop("", 0)
    return Signed(keys=dict(sorted(signers.items())), unsigned=unsigned)


def differ(old: Signed | None, new: Signed | None) -> bool:
    """Whether other keys signed, or some modules are signed in one of them only; how many there are does not count."""
    if old is None or new is None:
        return False
    return (old.keys.keys(), bool(old.unsigned)) != (new.keys.keys(), bool(new.unsigned))


def refused(old: Signed | None, new: Signed | None, config: Mapping[str, str]) -> str:
    """Why the second kernel refuses external modules that are signed as the first one's; empty where it does not.

    A kernel with MODULE_SIG_FORCE takes what is signed by a key that it knows (Documentation/admin-guide/
    module-signing.rst): its own modules tell one that it knows, and it is not to be expected that it knows another.
    """
    if old is None or new is None or config.get("MODULE_SIG_FORCE") != "y" or not new.keys:
        return ""
    if old.keys.keys() & new.keys.keys():
        return ""
    before = f"before it was {_names(old.keys)}" if old.keys else "before there was none"
    return f"MODULE_SIG_FORCE is on and they need a signature by {_names(new.keys)}; {before}"


def _names(keys: Iterable[str]) -> str:
    return " and ".join(map(name_of, keys))


def name_of(signer: str) -> str:
    """A signer for people: its certificate's issuer (the common name) and serial number, or the key's identifier."""
    if signer == DAMAGED:
        return "nobody, with a damaged signature"
    try:
        names, serial = list(values(bytes.fromhex(signer)))
        if (names.tag, serial.tag) != (SEQUENCE, INTEGER):
            raise ValueError
        common = next((text for kind, text in _attributes(names) if kind == _COMMON_NAME), b"")
        name = common.decode(errors="replace") or "a certificate without a name"
        return f"{name} (serial {serial.content.hex().lstrip('0')[:8]})"
    except ValueError:
        return f"the key {signer[:16]}"


def _attributes(name: Value) -> Iterable[tuple[bytes, bytes]]:
    """Kind and value of each part of a name (RFC 5280, 4.1.2.4)."""
    for part in values(name.content):
        for each in values(part.content):
            kind, text = list(values(each.content))
            if kind.tag != OID:
                raise ValueError
            yield kind.content, text.content
