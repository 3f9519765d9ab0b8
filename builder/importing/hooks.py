"""Hook scripts of os-kernel, which may be hooks of rosk or not.

Theirs are run by run-parts(8) from the top of the checkout, in the build container, where the kernel's source is at
`${BUILD}/${VERSION}`. Rosk's are run in the kernel's source itself, with nothing of the checkout around.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_VARIABLES = (
    "ARCH ARTIFACTS BUILD CONFIG DIR DIST FIRMWARE_TAG HOST_ARCH KERNEL_ARCH KERNEL_TAG KERNEL_TAR KERNEL_URL "
    "KERNEL_VERSION OS_REPO OVERRIDE_KERNEL_ARCH PATCHES SUFFIX VERSION"
)
_FOREIGN = (
    (re.compile(r"(?<![\w.-])(/source|/usr/src)(?![\w-])"), "is a path of the build container"),
    (re.compile(rf"\$\{{?((?:DAPPER_\w+|{'|'.join(_VARIABLES.split())}))\b"), "is a variable of the build container"),
    (
        re.compile(
            r"(?<![\w/-])((?:\./|\.\./)?(?:scripts|config|patches|modules|firmware|images|assets|dist|build)/[\w.-]+)"
        ),
        "is a path of the checkout",
    ),
    (re.compile(r"(dirname\s+[\"']?\$(?:0|\{0\}|BASH_SOURCE|\{BASH_SOURCE\S*\}))"), "leads to the checkout"),
    (re.compile(r"^\s*(?:sudo\s+)?((?:apt-get|apt|yum|apk)\s+\S+)"), "changes the build container"),
)
# Folders that the kernel's source has too.
_KERNELS = re.compile(r"(?:\./)?scripts/(?:config|kconfig|mod|basic|dtc|gdb|package)\b")


def refusal(name: str, data: bytes, *, executable: bool) -> tuple[int | None, str] | None:
    """Why a hook cannot be one of rosk, and the line (None: it is about the whole); None when it can.

    Args:
        name: Its file name.
        data: Its content.
        executable: Whether it may be run.
    """
    if not executable:
        return None, "it is not executable, so run-parts passed over it"
    if not _NAME.fullmatch(name):
        return None, "run-parts passed over it: its name has other characters than letters, digits, _ and -"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None, "it is a program and no script: nothing says what it needs"
    own = set(re.findall(r"(?m)^\s*(?:export\s+|local\s+)?(\w+)=", text))
    for number, row in enumerate(text.splitlines(), 1):
        line = re.sub(r"(?:^|\s)#.*", "", row)
        for pattern, what in _FOREIGN:
            for match in pattern.finditer(line):
                if match[1] not in own and not _KERNELS.match(match[1]):
                    return number, f"{match[0].strip()} {what}; rosk runs hooks in the kernel's source"
    return None
