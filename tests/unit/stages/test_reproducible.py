from __future__ import annotations

import pytest

from builder.stages.reproducible import findings, kernel_of

KEY = {"MODULE_SIG": "y", "MODULE_SIG_KEY": '"certs/signing_key.pem"'}


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({"RANDSTRUCT_FULL": "y", "RANDSTRUCT": "y", "GCC_PLUGIN_RANDSTRUCT": "y"}, "RANDSTRUCT_FULL"),
        ({"RANDSTRUCT_PERFORMANCE": "y", "RANDSTRUCT": "y"}, "RANDSTRUCT_PERFORMANCE"),
        ({"GCC_PLUGIN_RANDSTRUCT": "y"}, "GCC_PLUGIN_RANDSTRUCT"),  # before Linux 5.19
        ({"GCC_PLUGIN_LATENT_ENTROPY": "y"}, "GCC_PLUGIN_LATENT_ENTROPY"),
        (KEY, "MODULE_SIG"),
        ({"IMA_APPRAISE_MODSIG": "y", "MODULE_SIG_KEY": KEY["MODULE_SIG_KEY"]}, "IMA_APPRAISE_MODSIG"),
        ({"IKHEADERS": "m"}, "IKHEADERS"),
        ({"DEBUG_INFO_BTF": "y", "PAHOLE_VERSION": "124"}, "DEBUG_INFO_BTF"),
        ({"GCOV_KERNEL": "y", "CC_IS_GCC": "y"}, "GCOV_KERNEL"),
        ({"X86_NATIVE_CPU": "y"}, "X86_NATIVE_CPU"),
    ],
)
def test_what_makes_builds_differ_is_found_once(values: dict[str, str], option: str) -> None:
    (found,) = findings(values, (6, 12))
    assert found.option == option
    assert found.what.startswith(f"CONFIG_{option}={values[option]} makes no two builds equal: ")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"RANDSTRUCT_NONE": "y", "RANDSTRUCT": "n"},
        {"MODULE_SIG": "n"},
        {"MODULE_SIG": "y", "MODULE_SIG_KEY": '""'},
        {"MODULE_SIG": "y", "MODULE_SIG_KEY": '"certs/ours.pem"'},
        {"DEBUG_INFO_BTF": "y", "PAHOLE_VERSION": "130"},
        {"DEBUG_INFO_BTF": "n", "PAHOLE_VERSION": "124"},
        {"GCOV_KERNEL": "y", "CC_IS_CLANG": "y"},
        # Known from lists of such options, and no trouble here.
        {"LOCALVERSION_AUTO": "y", "SYSTEM_TRUSTED_KEYS": '"certs/a.pem"', "INITRAMFS_SOURCE": '"usr/a.cpio"'},
    ],
)
def test_what_does_not_is_left_alone(values: dict[str, str]) -> None:
    assert findings(values, (6, 12)) == []


def test_what_a_newer_kernel_has_mended_is_left_alone() -> None:
    assert findings({"IKHEADERS": "y"}, (6, 17)) == []
    assert len(findings({"IKHEADERS": "y"}, (6, 16))) == 1


@pytest.mark.parametrize(
    ("release", "kernel"), [("6.12.107-rosk", (6, 12)), ("6.12-rosk", (6, 12)), ("7.0-rc1", (7, 0)), ("5.4", (5, 4))]
)
def test_the_version_of_a_release(release: str, kernel: tuple[int, int]) -> None:
    assert kernel_of(release) == kernel
