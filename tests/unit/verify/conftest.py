"""Limits for what reads hostile files."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest


@pytest.fixture
def few_bytes_a_file() -> Iterator[None]:
    """No file of this process and those that it starts may have more than 32 MiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
