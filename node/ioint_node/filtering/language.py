"""From text to a filter and back.

    filter = [ term *( blanks term ) ]              all must hold
    term   = [ "-" ] key ( ":" items / compare )    "-": must not hold
    items  = item *( "," item )                     one of several
    item   = word / '"' text '"'
    compare = ( ">=" / "<=" / ">" / "<" ) number    of numbers; also `key:10..20`

An error names the character where the text stops making sense, and what was expected there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Final

from ioint_node.errors import RequestError
from ioint_node.filtering.keys import KEYS, Key
from ioint_node.filtering.rows import answer, words_of
from ioint_node.filtering.values import Days, Names, Numbers, Range, Span, Term, Test, Words

CHARS_MOST: Final = 1_024  # of a filter, also in its one spelling
TERMS_MOST: Final = 32  # of a filter
TEXTS_MOST: Final = (
    32  # words, and beginnings of subjects, of a filter: each is held against every word of every row
)
SPAN_MOST: Final = 10_000  # of its units
_SAID: Final = 32
_LISTED: Final = 12  # a vocabulary of no more is said whole
_HEAD: Final = re.compile(r"(?P<minus>-?)(?P<key>[A-Za-z_]*)(?P<op>>=|<=|[:<>]?)")
_ITEM: Final = re.compile(r'"(?P<quoted>[^"]*)"|(?P<bare>[^\s",]+)')
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_SPAN: Final = re.compile(r"([1-9]\d{0,4})([hdw])")
_NUMBER: Final = re.compile(r"\d{1,12}(?:\.\d{1,6})?")
_ID: Final = re.compile(r"[0-9a-f]{64}")
_SUBJECT: Final = re.compile(r"(?:[0-9a-f]{4,64}|pkg:[!-~]*?)\*?")
_ONCE: Final = frozenset(
    {"state", "tier", "kind", "trend", "tlp", "layer", "seen", "disputed", "revoked", "since", "until"}
)


class FilterError(RequestError):
    """A text that is no filter; `at` is the index of the character where it stops making sense."""

    def __init__(self, message: str, at: int, field: str = "filter") -> None:
        super().__init__(message)
        self.at = at
        self.field = field


@dataclass(frozen=True)
class Filter:
    """Terms that must all hold, in the order of their one spelling; none: everything."""

    terms: tuple[Term, ...] = ()

    @cached_property
    def text(self) -> str:
        """The canonical text; spans stay relative."""
        return " ".join(term.text for term in self.terms)

    @property
    def relative(self) -> bool:
        """Whether it depends on what time it is."""
        return any(isinstance(term.test, Days) and isinstance(term.test.day, Span) for term in self.terms)

    def at(self, now: int) -> Filter:
        """The same with the days that its spans mean at an instant (Unix milliseconds)."""
        return (
            filter_of(replace(term, test=_settled(term.test, now)) for term in self.terms)
            if self.relative
            else self
        )

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether it takes an indicator row of the contract.

        Raises:
            ValueError: it has spans; `at` says what they mean.
        """
        return all(_holds(term.test, term.key, row) != term.negated for term in self.terms)

    def without(self, keys: Iterable[str]) -> Filter:
        """The terms of other keys."""
        dropped = frozenset(keys)
        return Filter(tuple(term for term in self.terms if term.key.name not in dropped))

    def concerns(self, row: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
        """Whether a change of a row concerns a subscriber with this filter: it takes the row now, or took it before.

        `change` is the body of the stream's row: its `was` holds the former values of what changed among `TOLD`, null
        where there was no row. Of keys whose former value is not told nothing is asked: rather one change too many
        than a warning that is never taken back.
        """
        if self.matches(row):
            return True
        if "was" not in change:
            return self.without(_UNTOLD.union(TOLD)).matches(row)
        was = change["was"]
        return was is not None and self.without(_UNTOLD).matches({**row, **was})

    def __and__(self, other: Filter) -> Filter:
        return filter_of((*self.terms, *other.terms))


EVERYTHING: Final = Filter()
TOLD: Final = ("state", "tier", "score", "confidence", "effect", "reporters", "disputed", "revoked")
"""The fields whose former values a row of the stream tells."""
# What a day leaves behind, the day itself tells.
_UNTOLD: Final = frozenset(
    name for name, key in KEYS.items() if not key.lasting and name not in (*TOLD, "since", "until")
)
_ORDER: Final = {name: place for place, name in enumerate(KEYS)}


def filter_of(terms: Iterable[Term]) -> Filter:
    """The filter of terms in any order."""
    found = {(_ORDER[term.key.name], term.text): term for term in terms}
    return Filter(tuple(found[place] for place in sorted(found)))


def parse(text: str) -> Filter:
    """The filter that a text spells.

    Raises:
        FilterError: it spells none.
    """
    if len(text) > CHARS_MOST:
        raise FilterError(
            f"at character {CHARS_MOST}: {len(text)} characters, more than {CHARS_MOST}", CHARS_MOST
        )
    terms: list[Term] = []
    at = _past_blanks(text, 0)
    while at < len(text):
        term, at = _term(text, at)
        if (
            term.key.name in _ONCE
            and not term.negated
            and any(term.key == one.key and not one.negated for one in terms)
        ):
            raise _error(term.at, f"{term.key.name} is asked for twice: write a comma between its values")
        terms.append(term)
        if at < len(text) and not text[at].isspace():
            raise _error(at, "expected a blank")
        at = _past_blanks(text, at)
    return _bounded(filter_of(terms), len(text))


def parse_value(name: str, text: str) -> Filter:
    """The filter of one key, whose items are the whole text: as a parameter of its own has it.

    Raises:
        FilterError: no such items; `field` is the key's name, and the place is in this text.
    """
    key = KEYS[name]
    if len(text) > CHARS_MOST:
        raise FilterError(f"{len(text)} characters, more than {CHARS_MOST}", CHARS_MOST, name)
    given = [text] if key.type == "text" else text.split(",")
    if not all(given):
        raise FilterError(f"{name} needs a value", 0, name)
    places = [0, *(sum(map(len, given[:n])) + n for n in range(1, len(given)))]
    try:
        test = _READERS[key.type](key, list(zip(given, places, strict=True)))
        return _bounded(Filter((Term(key=key, test=test),)), len(text))
    except FilterError as error:
        raise FilterError(str(error).partition(": ")[2], error.at, name) from None


def _bounded(wanted: Filter, at: int) -> Filter:
    """The filter, which its one spelling gives back, and which is soon asked of a row.

    Raises:
        FilterError: it is too long, or asks too much.
    """
    asked = sum(_texts_of(term.test) for term in wanted.terms)
    for found, most, what in (
        (len(wanted.terms), TERMS_MOST, "terms"),
        (asked, TEXTS_MOST, "words and beginnings of subjects"),
        (len(wanted.text), CHARS_MOST, "characters in its one spelling"),
    ):
        if found > most:
            raise _error(at, f"{found} {what}, more than {most}")
    return wanted


def _texts_of(test: Test) -> int:
    if isinstance(test, Words):
        return sum(map(len, test.texts))
    return sum(value.endswith("*") for value in test.values) if isinstance(test, Names) else 0


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _error(at: int, message: str) -> FilterError:
    return FilterError(f"at character {at}: {message}", at)


def _term(text: str, at: int) -> tuple[Term, int]:
    head = _HEAD.match(text, at)
    if head is None:
        raise AssertionError("the head of a term may be empty")
    start = head.start("key")
    key = KEYS.get(head["key"])
    if key is None:
        raise _error(start, _unlisted(head["key"], "a key", tuple(KEYS)))
    operator, begin = head["op"], head.end("op")
    if not operator:
        compared = ", '>=', '<=', '>' or '<'" if key.type == "number" else ""
        raise _error(begin, f"expected ':'{compared} after {key.name}")
    if operator != ":" and key.type != "number":
        raise _error(head.start("op"), f"expected ':' after {key.name}, which is no number")
    items, end = _items(text, begin, key)
    test = _READERS[key.type](key, items) if operator == ":" else Numbers((_compared(key, operator, items),))
    return Term(key=key, test=test, negated=bool(head["minus"]), at=at), end


def _items(text: str, at: int, key: Key) -> tuple[list[tuple[str, int]], int]:
    """The items of a term, each with where it begins, and where they end."""
    found = []
    while True:
        item = _ITEM.match(text, at)
        if item is None:
            if text[at : at + 1] == '"':
                raise _error(at, "the quote is not closed")
            raise _error(at, f"{key.name} needs a value")
        value = item["quoted"] if item["bare"] is None else item["bare"]
        found.append((value, item.start("quoted" if item["bare"] is None else "bare")))
        at = item.end()
        if text[at : at + 1] != ",":
            return found, at
        at += 1


def _read_words(key: Key, items: Sequence[tuple[str, int]]) -> Test:
    chosen = set()
    for given, at in items:
        value = key.aliases.get(given, given)
        if value not in key.values:
            raise _error(at, _unlisted(given, key.name, (*key.aliases, *key.values)))
        chosen.add(value)
    return Names(tuple(value for value in key.values if value in chosen))


def _read_numbers(key: Key, items: Sequence[tuple[str, int]]) -> Test:
    ranges = []
    for given, at in items:
        low, dots, high = given.partition("..")
        least = _units(key, low, at)
        most = _units(key, high, at + len(low) + 2) if dots else least
        if most < least:
            raise _error(at, f"{given[:_SAID]!r} ends before it begins")
        ranges.append(Range(least, most))
    return Numbers(_apart(ranges))


def _apart(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same numbers in ranges that neither overlap nor touch."""
    found: list[Range] = []
    for one in sorted(ranges):
        if found and one.least <= found[-1].most + 1:
            found[-1] = Range(found[-1].least, max(found[-1].most, one.most))
        else:
            found.append(one)
    return tuple(found)


def _compared(key: Key, operator: str, items: Sequence[tuple[str, int]]) -> Range:
    (given, at), *more = items
    if more:
        raise _error(more[0][1] - 1, "a comparison has one number")
    units = _units(key, given, at)
    least, most = {
        ">=": (units, key.most),
        ">": (units + 1, key.most),
        "<=": (0, units),
        "<": (0, units - 1),
    }[operator]
    if least > most:
        raise _error(at, f"no {key.name} is {operator} {given}: it is from 0 to {_top(key)}")
    return Range(least, most)


def _units(key: Key, text: str, at: int) -> int:
    if not _NUMBER.fullmatch(text):
        raise _error(at, f"{text[:_SAID]!r} is no number from 0 to {_top(key)}")
    try:
        units = Decimal(text) * key.scale
    except InvalidOperation:
        raise _error(at, f"{text[:_SAID]!r} is no number from 0 to {_top(key)}") from None
    if units != int(units):
        raise _error(at, f"{text!r} is no whole number: {key.name} is counted")
    if units > key.most:
        raise _error(at, f"{text} is more than {_top(key)}, the most that {key.name} can be")
    return int(units)


def _top(key: Key) -> int:
    return key.most // key.scale


def _read_day(key: Key, items: Sequence[tuple[str, int]]) -> Test:
    (given, at), *more = items
    if more:
        raise _error(more[0][1] - 1, f"{key.name} has one value")
    if (span := _SPAN.fullmatch(given)) is not None and int(span[1]) <= SPAN_MOST:
        unit = span[2]
        return Days(Span(int(span[1]), "h" if unit == "h" else "d" if unit == "d" else "w"))
    try:
        if not _DAY.fullmatch(given):
            raise ValueError(given)
        date.fromisoformat(given)
    except ValueError:
        raise _error(
            at, f"{given[:_SAID]!r} is no day like 2026-11-20 and no span like 7d, 24h or 2w"
        ) from None
    return Days(given)


def _read_subjects(key: Key, items: Sequence[tuple[str, int]]) -> Test:
    for given, at in items:
        if not _SUBJECT.fullmatch(given):
            raise _error(
                at,
                f"{given[:_SAID]!r} is no id, no package URL like pkg:npm/left-pad, and no beginning like pkg:npm/*",
            )
        if not (given.endswith("*") or given.startswith("pkg:") or _ID.fullmatch(given)):
            raise _error(at, f"{given[:_SAID]!r} is the beginning of an id: write a star behind it")
    return Names(tuple(sorted({given for given, _ in items})))


def _read_text(key: Key, items: Sequence[tuple[str, int]]) -> Test:
    texts = set()
    for given, at in items:
        words = words_of(given)
        if not words:
            raise _error(at, "q needs a word: letters or digits")
        texts.add(tuple(sorted(set(words))))
    return Words(tuple(sorted(texts)))


_READERS: Final[Mapping[str, Callable[[Key, Sequence[tuple[str, int]]], Test]]] = {
    "word": _read_words,
    "number": _read_numbers,
    "since": _read_day,
    "until": _read_day,
    "subject": _read_subjects,
    "text": _read_text,
}


def _unlisted(given: str, what: str, known: Sequence[str]) -> str:
    if len(known) <= _LISTED:
        return f"{given[:_SAID]!r} is none of {', '.join(known)}"
    near = difflib.get_close_matches(given.lower(), known, 3)
    meant = (
        f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known[:_LISTED])}, …"
    )
    if what == "a key":
        meant = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known)}"
    return f"{given[:_SAID]!r} is no {what.removeprefix('a ')}: {meant}"


def _settled(test: Test, now: int) -> Test:
    if isinstance(test, Days) and isinstance(test.day, Span):
        return Days(datetime.fromtimestamp(max(0, now - test.day.ms) // 1000, UTC).date().isoformat())
    return test


def _holds(test: Test, key: Key, row: Mapping[str, Any]) -> bool:
    match test:
        case Names(values) if key.type == "subject":
            return any(_named(str(name), value) for name in answer(row, key.name) for value in values)
        case Names(values):
            return any(value in values for value in answer(row, key.name))
        case Numbers(ranges):
            return any(
                one.least <= int(value) <= one.most for value in answer(row, key.name) for one in ranges
            )
        case Days(day):
            if isinstance(day, Span):
                raise ValueError(f"{day} is a span: at what time?")
            return any(
                str(seen) >= day if key.type == "since" else str(seen) <= day for seen in answer(row, "day")
            )
        case Words(texts):
            label = [str(word) for word in answer(row, key.name)]
            return any(
                all(any(word.startswith(given) for word in label) for given in words) for words in texts
            )


def _named(name: str, value: str) -> bool:
    return name.startswith(value[:-1]) if value.endswith("*") else name == value
