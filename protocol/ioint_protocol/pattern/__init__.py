"""The pattern language: short paths of abstract steps (SPEC, "Patterns").

`language` says what a pattern is, `matcher` finds many of them in what a session does, `subsumption` says
which of two is the more special, `paths` counts how often one completes in sessions that are known. Read `language`
first.
"""

from __future__ import annotations

from ioint_protocol.pattern.kinds import Kind, fits, kind_of
from ioint_protocol.pattern.language import (
    Pattern,
    PatternStep,
    canonical_form,
    parse_pattern,
    pattern_id,
    pattern_value,
)
from ioint_protocol.pattern.matcher import Matcher, MatchState
from ioint_protocol.pattern.paths import Path, Paths, Rate, Seen, base_rate, completes
from ioint_protocol.pattern.subsumption import generalisations, implies

__all__ = [
    "Kind",
    "MatchState",
    "Matcher",
    "Path",
    "Paths",
    "Pattern",
    "PatternStep",
    "Rate",
    "Seen",
    "base_rate",
    "canonical_form",
    "completes",
    "fits",
    "generalisations",
    "implies",
    "kind_of",
    "parse_pattern",
    "pattern_id",
    "pattern_value",
]
