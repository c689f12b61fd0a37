from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Commands set the umask of their process, which here is that of all tests."""
    before = os.umask(0o022)
    yield
    os.umask(before)
