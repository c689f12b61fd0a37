"""Text as scoring sees it: normalised tokens, word stems and passages, all bounded.

Nothing here knows a benchmark, an attack or a tool: it turns text into units that can be compared. A *token* is
one normalised unit (a word, a number, an address, a path). A *passage* is one sentence of prose, or one field of
a record. Whether a value stood in a record or in prose tells data from instructions later on.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct

from ioint_node.scoring.languages import english

TEXT_CHARS = 20_000
PASSAGES_PER_TEXT = 600
PASSAGE_TOKENS = 160
LEAVES_PER_CALL = 64
LEAF_CHARS = 4_000
NESTING = 8
RECORD_WORDS = 6
COLON_WORDS = 2

_TOKEN = re.compile(r"[^\W_](?:[\w.@:/+#%&=?~\-]*[\w/])?")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?(?:[.\d]*)?")
_STAMP = re.compile(r"(\d{4}-\d{2}-\d{2})[t ](\d{1,2}:\d{2})(?::\d{2})?.*")
_WORDS = re.compile(r"[^\W\d_]+")
_PIECES = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_FIELD = re.compile(r"^\s*(?:[-*•]\s+)?[\"']?([A-Za-z_][\w .\-]{0,40})[\"']?\s*:(?:\s+(.*)|\s*)$")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_SENTENCE = re.compile(r"(?<=[.!?;])[\"')\]]*\s+|(?<=[.!?][\"')\]])\s+|(?<=[a-z][.!?])(?=[A-Z])")
_COLON = re.compile(r":\s+")
_LITERAL = re.compile(r"[\"']?\s*[,;]\s*(?=[\"'][\w ]{1,40}[\"']\s*:)|[{}\[\]]")
_SCHEME = re.compile(r"^[a-z]+://")
_BETWEEN = re.compile(r"[^\w]+")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*")
_HOST = re.compile(r"[a-z0-9\-]+(?:\.[a-z0-9\-]+)*\.(?:com|org|net|io|biz|info|dev|gov|edu|[a-z]{2})")
# Letters of the tag block spell out ASCII that nobody sees; the others take no room at all.
_TAG_BASE = 0xE0000
_TAGS = re.compile("[\U000e0020-\U000e007e]")
_WIDTHLESS = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
_ENCODED = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{24,}={0,2}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
# What a browser does not show: comments, and elements that are styled away.
_UNSEEN = re.compile(
    r"<!--(.{1,2000}?)-->|<[^<>]*(?:display:\s*none|visibility:\s*hidden|font-size:\s*0|opacity:\s*0\b|aria-hidden=.true)"
    r"[^<>]*>([^<>]{1,2000})",
    re.DOTALL,
)
UNSEEN_WORDS = 5
ENCODED_RUNS = 8
ENCODED_WORDS = 3
REMEMBERED = 16_384  # tokens or names, per function


class Passage(Struct, frozen=True):
    """One sentence of prose, or one field of a record."""

    text: str
    record: bool


class Leaf(Struct, frozen=True):
    """One value at the end of a path through the arguments of a call."""

    key: str
    text: str


def tokens(text: str) -> list[str]:
    """Normalised tokens of a text, in order: lower case, numbers in one form, addresses in one piece."""
    raws = _TOKEN.findall(_THOUSANDS.sub("", text) if "," in text else text)
    if all(map(str.isalpha, raws)):
        return list(map(str.lower, raws))
    found: list[str] = []
    for raw in raws:
        if raw.isalpha():
            found.append(raw.lower())
        else:
            found.extend(_normal(raw))
    return found


@lru_cache(maxsize=REMEMBERED)
def _normal(raw: str) -> tuple[str, ...]:
    token = raw.lower()
    if _NUMBER.fullmatch(token):
        return (number(token),)
    stamp = _STAMP.fullmatch(token)
    if stamp:
        return (stamp[1], stamp[2].zfill(5))
    if _CLOCK.fullmatch(token):
        return (token[:5].rstrip(":").zfill(5),)
    token = _SCHEME.sub("", token).rstrip("/")
    if is_identifier(raw):
        return (token,) if token else ()
    return tuple(number(part) if _NUMBER.fullmatch(part) else part for part in _BETWEEN.split(token) if part)


def number(token: str) -> str:
    """One spelling for one number: `5.0`, `+5` and `5.00` are `5`."""
    token = token.lstrip("+")
    if "." in token:
        token = token.rstrip("0").rstrip(".")
    return token or "0"


@lru_cache(maxsize=REMEMBERED)
def is_identifier(token: str) -> bool:
    """Whether a token looks like a name for one thing: an address, a path, an account, a long number."""
    if token.isalpha():
        return False
    if "@" in token or "/" in token or token.startswith("www."):
        return True
    digits = sum(character.isdigit() for character in token)
    if digits >= 6 or (digits >= 2 and len(token) >= 5 and any(c.isalpha() for c in token)):
        return not _DATE.fullmatch(token)
    if "_" in token.strip("_"):
        return True
    head, dot, tail = token.rpartition(".")
    return bool(dot and head and 2 <= len(tail) <= 5 and tail.islower() and tail.isalpha())


@lru_cache(maxsize=REMEMBERED)
def is_address(token: str) -> bool:
    """Whether a token inside a text is a place to reach or an account: not a mere compound name."""
    if token.isalpha():
        return False
    return (
        "@" in token
        or token.startswith("www.")
        or "/" in token
        or sum(c.isdigit() for c in token) >= 6
        or bool(_HOST.fullmatch(token))
    )


@lru_cache(maxsize=REMEMBERED)
def stem(word: str) -> str:
    """A crude stem that joins the inflections of one English word."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for ending in ("ations", "ation", "ings", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            if ending == "s" and word.endswith("ss"):
                continue
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiousl":
        word = word[:-1]
    return word.rstrip("e") if len(word) > 3 else word


def words(text: str) -> list[str]:
    """The alphabetic words of a text in lower case, with compound names taken apart."""
    return [piece.lower() for word in _WORDS.findall(text) for piece in split_name(word)]


@lru_cache(maxsize=REMEMBERED)
def split_name(name: str) -> tuple[str, ...]:
    """The words of a compound name: `getBalance`, `get_balance` and `GetBalance` are `get`, `balance`.

    A word of another language that is known is given as the English word that it stands for.
    """
    pieces = _PIECES.findall(name) if name.isascii() else ()
    return tuple(english(piece.lower()) for piece in pieces or (name,))


def passages(text: str) -> list[Passage]:
    """A text as sentences and record fields, in order, at most `PASSAGES_PER_TEXT`."""
    found: list[Passage] = []
    for passage in _blocks(text[:TEXT_CHARS]):
        found.append(passage)
        if len(found) == PASSAGES_PER_TEXT:
            break
    return found


def _blocks(text: str) -> Iterator[Passage]:
    stripped = text.lstrip()
    if stripped[:1] in "{[":
        try:
            yield from _walk(json.loads(stripped))
        except (ValueError, RecursionError):
            for piece in _LITERAL.split(stripped):
                yield from _lines(piece)
        return
    yield from _lines(text)


def _walk(value: Any, depth: int = 0) -> Iterator[Passage]:  # noqa: ANN401 - any JSON value
    if depth > NESTING:
        return
    if isinstance(value, dict):
        for item in value.values():
            yield from _walk(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, depth + 1)
    elif isinstance(value, str):
        yield from _lines(value) if len(value.split()) > RECORD_WORDS else (Passage(value, record=True),)
    elif value is not None:
        yield Passage(str(value), record=True)


def _lines(text: str) -> Iterator[Passage]:
    """Lines that are wrapped prose are joined; fields, bullets and blank lines begin something new."""
    block: list[str] = []
    for line in text.split("\n"):
        field = _FIELD.match(line)
        if field and len(field[1].split()) <= 3:
            yield from _close(block)
            block = [field[2] or ""]
        elif not line.strip():
            yield from _close(block)
            block = []
        elif _BULLET.match(line):
            yield from _close(block)
            block = [_BULLET.sub("", line)]
        else:
            block.append(line)
    yield from _close(block)


def _close(block: list[str]) -> Iterator[Passage]:
    joined = " ".join(part.strip() for part in block).strip()
    if not joined:
        return
    if len(joined.split()) <= RECORD_WORDS and joined[-1] not in ".!?":
        yield Passage(joined, record=True)
        return
    for sentence in _SENTENCE.split(joined):
        for clause in _at_colons(sentence):
            if clause.strip():
                yield Passage(clause.strip(), record=False)


def _at_colons(sentence: str) -> Iterator[str]:
    """A colon after a few words announces something new; one in brackets or after a label does not."""
    start = 0
    for colon in _COLON.finditer(sentence):
        head = sentence[start : colon.start()]
        if len(head.split()) >= COLON_WORDS and head.count("(") == head.count(")"):
            yield head
            start = colon.end()
    yield sentence[start:]


def unveiled(text: str) -> tuple[str, str]:
    """A text as it is seen, and what was hidden in it: tag characters, and runs of base64 or hex that decode to words.

    Characters without width are taken out of what is seen: they tear words apart for programs only.
    """
    hidden: list[str] = []
    if not text.isascii():
        hidden.append("".join(chr(ord(mark) - _TAG_BASE) for mark in _TAGS.findall(text)))
        text = _WIDTHLESS.sub("", text)
    if "<" in text:
        found = _UNSEEN.findall(text)
        text = _UNSEEN.sub(" ", text) if found else text
        hidden += [one for pair in found for one in pair if len(one.split()) >= UNSEEN_WORDS]
    hidden += map(_decoded, _ENCODED.findall(text)[:ENCODED_RUNS])
    return text, "\n".join(filter(None, hidden))


def _decoded(run: str) -> str:
    """The words that a run of base64 or hex stands for, or nothing."""
    try:
        raw = bytes.fromhex(run) if _HEX.fullmatch(run) else b64decode(run + "=" * (-len(run) % 4))
        found = raw.decode("ascii")
    except ValueError:
        return ""
    return found if found.isprintable() and len(found.split()) >= ENCODED_WORDS else ""


def leaves(arguments: Mapping[str, Any]) -> list[Leaf]:
    """The values of a call with the name they stand under, at most `LEAVES_PER_CALL`; truth values are left out."""
    found: list[Leaf] = []
    _collect("", arguments, found, 0)
    return found


def _collect(key: str, value: Any, found: list[Leaf], depth: int) -> None:  # noqa: ANN401 - any JSON value
    if len(found) >= LEAVES_PER_CALL or depth > NESTING or value is None or isinstance(value, bool):
        return
    # Asking an abstract class costs more than all the rest, and most values are text.
    if type(value) is not str and isinstance(value, Mapping):
        for name, item in value.items():
            _collect(str(name), item, found, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _collect(key, item, found, depth + 1)
    else:
        text = str(value)[:LEAF_CHARS].strip()
        if text:
            found.append(Leaf(key, text))
