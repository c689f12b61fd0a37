"""The second implementation's own tests."""

from __future__ import annotations

import subprocess

import pytest

from tests.interop.conftest import FOLDER

RUN_S = 60.0
pytestmark = pytest.mark.network  # it starts a process


def test_its_own_tests_pass(javascript: str) -> None:
    done = subprocess.run(
        [javascript, "--test", FOLDER / "lib.test.mjs"],
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
