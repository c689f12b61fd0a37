"""What an indicator row answers to each key: the one place where rows and keys meet.

Verbs and resources stand in the row beside the fields of the contract (`reputation.view.touched`), so that whoever
holds a row can tell whether a filter takes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from ioint_node.filtering.keys import ANY, MILLIONTHS

Row = Mapping[str, Any]
_WORD: Final = re.compile(r"[^\W_]+")
WORDS_MOST: Final = 64  # of a label that are looked at


@lru_cache(maxsize=512)  # every term of every filter asks for those of the same few labels
def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, folded in case: runs of letters and digits."""
    return tuple(_WORD.findall(text.casefold()))[:WORDS_MOST]


def subject_of(row: Row) -> str:
    """What an indicator is about: the id of a pattern, the package URL of a subject."""
    return str(row["label"] if row["kind"] == "subject" else row["id"])


def answers(row: Row) -> dict[str, tuple[str | int, ...]]:
    """The values of a row by key; of `since` and `until` under `day`."""
    return {name: answer(row) for name, answer in _ANSWERS.items()}


def answer(row: Row, key: str) -> tuple[str | int, ...]:
    """The values of a row for one key; none where nothing is known."""
    return _ANSWERS[key](row)


def _word(name: str) -> Callable[[Row], tuple[str | int, ...]]:
    def of(row: Row) -> tuple[str | int, ...]:
        value = row.get(name)
        return () if value is None or value == "" else (value,)

    return of


def _words(name: str) -> Callable[[Row], tuple[str | int, ...]]:
    return lambda row: tuple(row.get(name) or ())


def _flag(name: str) -> Callable[[Row], tuple[str | int, ...]]:
    return lambda row: ("yes" if row.get(name) else "no",)


_ANSWERS: Final[Mapping[str, Callable[[Row], tuple[str | int, ...]]]] = {
    "state": _word("state"),
    "tier": _word("tier"),
    "kind": _word("kind"),
    "trend": _word("trend"),
    "tlp": _word("tlp"),
    "seen": _flag("seen_locally"),
    "disputed": _flag("disputed"),
    "revoked": _flag("revoked"),
    "intent": _words("intents"),
    "layer": _word("layer"),
    "family": lambda row: tuple(row.get("declared") or ()) or (ANY,),
    "verb": _words("verbs"),
    "resource": _words("resources"),
    "score": _word("score"),
    "confidence": _word("confidence"),
    "effect": lambda row: (round(float(row["effect"]) * MILLIONTHS),),
    "reporters": _word("reporters"),
    "day": _word("last_seen"),
    "subject": lambda row: tuple(dict.fromkeys((str(row["id"]), subject_of(row)))),
    "q": lambda row: words_of(str(row.get("label") or "")),
}
