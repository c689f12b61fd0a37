"""The small filter language: `state:watched tier:precautionary,consensus since:2026-11-01 q:"phone call"`.

Terms are separated by blanks and must all hold; a comma inside a term means one of several. An error points at the
character where the text stops making sense.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ioint_node.store.listings import IndicatorFilter
from ioint_node.web.limits import WebLimits
from ioint_node.web.problems import bad_field

STATES = ("unknown", "watched", "suspicious", "malicious", "disputed", "withdrawn", "benign")
TIERS = ("none", "advisory", "precautionary", "disputed", "corroborated", "consensus")
KINDS = ("pattern", "subject")
KEYS = ("state", "tier", "kind", "since", "q")
_TERM = re.compile(r'(?P<key>[a-z_]*)(?P<colon>:?)(?P<value>"[^"]*"?|[^\s"]*)')


@dataclass(frozen=True, slots=True)
class _Term:
    key: str
    value: str
    at: int  # where the value begins


def indicator_filter(given: Mapping[str, str], limits: WebLimits) -> IndicatorFilter:
    """The filter of a request: its parameters and the terms of `filter` together.

    Raises:
        Refusal: an unknown key or value; for `filter` with the character it is at.
    """
    terms = [(key, _Term(key, given[key], 0)) for key in KEYS if key in given]
    terms += [("filter", term) for term in _terms(given.get("filter", ""), limits)]
    found: dict[str, _Term] = {}
    for field, term in terms:
        if term.key in found:
            raise bad_field(
                field, f"{term.key} is asked for twice", at=term.at if field == "filter" else None
            )
        _check(field, term)
        found[term.key] = term
    return IndicatorFilter(
        states=_several(found.get("state")),
        tiers=_several(found.get("tier")),
        kinds=_several(found.get("kind")),
        since=found["since"].value if "since" in found else None,
        text=found["q"].value if "q" in found else None,
    )


def _terms(text: str, limits: WebLimits) -> list[_Term]:
    if len(text) > limits.filter_chars:
        raise bad_field(
            "filter", f"{len(text)} characters, more than {limits.filter_chars}", at=limits.filter_chars
        )
    found = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TERM.match(text, at)
        if match is None or match["key"] not in KEYS:
            raise bad_field("filter", f"at character {at}: expected one of {', '.join(KEYS)}", at=at)
        if not match["colon"]:
            raise bad_field("filter", f"at character {match.end('key')}: expected ':'", at=match.end("key"))
        value = match["value"]
        if value.startswith('"'):
            if len(value) < 2 or not value.endswith('"'):
                raise bad_field(
                    "filter",
                    f"at character {match.start('value')}: the quote is not closed",
                    at=match.start("value"),
                )
            value = value[1:-1]
        found.append(_Term(match["key"], value, match.start("value")))
        at = match.end()
        if at < len(text) and not text[at].isspace():
            raise bad_field("filter", f"at character {at}: expected a blank", at=at)
    return found


def _check(field: str, term: _Term) -> None:
    where = f"at character {term.at}: " if field == "filter" else ""
    at = term.at if field == "filter" else None
    known = {"state": STATES, "tier": TIERS, "kind": KINDS}.get(term.key)
    if not term.value:
        raise bad_field(field, f"{where}{term.key} needs a value", at=at)
    if known is not None:
        for value in term.value.split(","):
            if value not in known:
                raise bad_field(field, f"{where}{value[:32]!r} is none of {', '.join(known)}", at=at)
    elif term.key == "since" and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", term.value):
        raise bad_field(field, f"{where}{term.value[:32]!r} is no day like 2026-11-20", at=at)


def _several(term: _Term | None) -> tuple[str, ...]:
    return () if term is None else tuple(term.value.split(","))
