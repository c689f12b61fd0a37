"""The one filter language: `state:watched,malicious -intent:goal_drift score>=50 since:7d q:"phone call"`.

`keys` says what can be asked for, `language` reads a text and gives its one spelling, `rows` says what an indicator
row answers to. The same answers are what the store's index holds, so that a filter says the same of a row wherever
it is asked. Described in docs/filters.md.
"""

from __future__ import annotations

from ioint_node.filtering.keys import KEYS, Key, key_named
from ioint_node.filtering.language import EVERYTHING, TOLD, Filter, FilterError, parse, parse_value
from ioint_node.filtering.rows import answers, subject_of, words_of
from ioint_node.filtering.values import Days, Names, Numbers, Range, Span, Term, Words

__all__ = [
    "EVERYTHING",
    "KEYS",
    "TOLD",
    "Days",
    "Filter",
    "FilterError",
    "Key",
    "Names",
    "Numbers",
    "Range",
    "Span",
    "Term",
    "Words",
    "answers",
    "key_named",
    "parse",
    "parse_value",
    "subject_of",
    "words_of",
]
