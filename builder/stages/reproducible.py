"""The kernel's options that make two builds of the same input differ, and what to do about each.

Source: Documentation/kbuild/reproducible-builds.rst of Linux 6.12 and the Makefiles named at each row. What that text
warns of too, but rosk has an answer for, is not here: dates, user and host (KBUILD_BUILD_*), absolute file names (a
build always has the same folders), LOCALVERSION_AUTO (off), the times of the files that INITRAMFS_SOURCE names. Nor
are options that name a file of the kernel tree (SYSTEM_TRUSTED_KEYS, INITRAMFS_SOURCE, EXTRA_FIRMWARE): what they name
is part of the patched source, or the build fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

KIND = "not-reproducible"
"""The kind of the warnings that come of `findings`."""

DEFAULT_KEY = '"certs/signing_key.pem"'
Kernel = tuple[int, int]
Values = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """An option that is set and makes builds differ; `what` is one line for people."""

    option: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """Options of which one that is on makes builds differ.

    Attributes:
        options: The first of them that is on is named.
        reason: What differs.
        remedy: What to do about it.
        applies: Whether it does so with these values, in this version of the kernel.
    """

    options: tuple[str, ...]
    reason: str
    remedy: str
    applies: Callable[[Values, Kernel], bool] = lambda _values, _kernel: True


def _generates_key(values: Values, _kernel: Kernel) -> bool:
    return values.get("MODULE_SIG_KEY") == DEFAULT_KEY


def _keeps_utsversion(_values: Values, kernel: Kernel) -> bool:
    return kernel < (6, 17)


def _threaded_pahole(values: Values, _kernel: Kernel) -> bool:
    version = values.get("PAHOLE_VERSION", "0")
    return version.isdecimal() and 122 <= int(version) <= 128


def _gcc(values: Values, _kernel: Kernel) -> bool:
    return values.get("CC_IS_GCC") == "y"


TABLE = (
    # scripts/gen-randstruct-seed.sh, called by scripts/basic/Makefile (by scripts/gcc-plugins/Makefile before 5.19).
    Row(
        options=("RANDSTRUCT_FULL", "RANDSTRUCT_PERFORMANCE", "RANDSTRUCT", "GCC_PLUGIN_RANDSTRUCT"),
        reason="structures are laid out by a seed that every new object tree draws from /dev/urandom",
        remedy="take it out, or patch scripts/gen-randstruct-seed.sh so that it writes a seed of your own",
    ),
    # get_random_const() of scripts/gcc-plugins/latent_entropy_plugin.c; no Makefile gives gcc a -frandom-seed.
    Row(
        options=("GCC_PLUGIN_LATENT_ENTROPY",),
        reason="its gcc plugin puts numbers from /dev/urandom into the code",
        remedy="take it out, or patch the Makefile so that gcc gets a -frandom-seed",
    ),
    # certs/Makefile; the key's certificate is linked into the kernel even when no module is signed.
    Row(
        options=("MODULE_SIG", "IMA_APPRAISE_MODSIG"),
        reason=f"CONFIG_MODULE_SIG_KEY={DEFAULT_KEY} generates a key for every new object tree; its certificate goes"
        " into the kernel, its signatures into the modules",
        remedy="give the build a key of your own: signing.key in the settings",
        applies=_generates_key,
    ),
    # kernel/gen_kheaders.sh: from a kept object tree it packs include/generated/utsversion.h too. Newer ones say so.
    Row(
        options=("IKHEADERS",),
        reason="its archive holds include/generated/utsversion.h after a build in a kept object tree, and not after"
        " one from nothing",
        remedy="take it out, or patch kernel/gen_kheaders.sh so that it leaves this file out, as Linux 6.17 does",
        applies=_keeps_utsversion,
    ),
    # scripts/Makefile.btf, scripts/pahole-flags.sh. Debian's 6.12 leaves -j out or adds +reproducible_build, for most
    # versions of pahole; kernel.org's has -j for all since 1.22. pahole 1.29 orders what its threads find.
    Row(
        options=("DEBUG_INFO_BTF",),
        reason="pahole 1.22 to 1.28 with -j, which most kernels give it, writes types in the order its threads end",
        remedy="take it out, or use a toolchain whose package dwarves is 1.29 or newer (trixie's is)",
        applies=_threaded_pahole,
    ),
    # arch/x86/Makefile: -march=native and -Ctarget-cpu=native, since Linux 6.16.
    Row(
        options=("X86_NATIVE_CPU",),
        reason="the compiler makes code for the CPU that it runs on, which another machine may not run at all",
        remedy="take it out",
    ),
    # gcc's coverage.cc stamps each object with the time of its compilation, unless there is a -frandom-seed.
    Row(
        options=("GCOV_KERNEL",),
        reason="gcc stamps every object that it instruments with the time",
        remedy="take it out: it is for coverage tests, not for releases",
        applies=_gcc,
    ),
)


def findings(values: Values, kernel: Kernel) -> list[Finding]:
    """What of a complete config makes builds differ.

    Args:
        values: By option name, without `CONFIG_`.
        kernel: The kernel's version and patch level: (6, 12).
    """
    found = []
    for row in TABLE:
        option = next((option for option in row.options if values.get(option) == "y"), None)
        option = option or next((option for option in row.options if values.get(option) == "m"), None)
        if option is not None and row.applies(values, kernel):
            what = f"CONFIG_{option}={values[option]} makes no two builds equal: {row.reason}; {row.remedy}"
            found.append(Finding(option=option, what=what))
    return found


def kernel_of(release: str) -> Kernel:
    """The version and patch level at the start of a kernel release (`6.12.107-rosk`)."""
    version, _, rest = release.partition(".")
    level = rest.split(".")[0].split("-")[0]
    return int(version), int(level)
