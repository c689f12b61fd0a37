"""What no vector holds: many cases drawn by chance, on which both implementations have to say the same."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ioint_node.reputation.rule import Statement, network_part
from ioint_protocol import ProtocolError, canonical, records
from ioint_protocol.pattern import Matcher, parse_pattern
from ioint_taxonomy import Step

from tests.interop.test_vectors import VECTORS, run
from tests.protocol.test_reputation_vectors import electorate_of, expected_of
from tests.protocol.test_vectors import taxonomy_of

pytestmark = pytest.mark.network  # it starts a process
