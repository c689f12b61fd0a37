"""Words to vocabulary: what the name of a tool says of its verb and its resource.

A name is split into words, phrases of the lexicon are joined, and each word votes. A verb counts most where a name
begins; a word that is also a noun ("order", "post") is a weak verb. The resource is the last noun before the first
preposition, for that is where English puts the head. Two words that mean something else together ("send money") are
rewritten at the end.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from ioint_taxonomy.release import load_taxonomy, read_data

NAMES_REMEMBERED = 4096
NAME_CHARACTERS = 128
PHRASE_WORDS = 3

STRONG, WEAK, PRODUCT = 3.0, 1.0, 0.9
OPENING = 1.5
CLOSING_STATE = 2.5
HEAD = 1.0
AFTER_PREPOSITION = -2.0
USED_AS_VERB = -2.5
UNCHANGEABLE = -1.5

_EFFECT_ORDER = ("observe", "derive", "mutate", "run", "transfer", "authority", "value")
_WORD = re.compile(
    r"(?<![a-zA-Z])(?:[a-z]{1,2}\d[a-z]?|\d[a-z]{1,2})(?![a-zA-Z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+"
)

_NOUNS_AT_THE_END = frozenset({"create", "send"})
_ROUTE = re.compile(r"(?P<method>GET|HEAD|POST|PUT|PATCH|DELETE)\s*(?P<path>/\S*)", re.IGNORECASE)
_VARIABLE = re.compile(r"\{[^}]*\}|:\w+|/api\b|/v\d+\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameReading:
    """What a name says: verb and resource, or None, and how strongly each is said (0 to about 6).

    `product` is the class of the first product that the name mentions, or None.
    """

    verb: str | None
    verb_strength: float
    resource: str | None
    resource_strength: float
    product: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lexicon:
    """The word lists of the release, indexed for look-up."""

    verbs: Mapping[str, tuple[str, float]]
    resources: Mapping[str, tuple[str, float]]
    products: Mapping[str, str]
    prepositions: frozenset[str]
    joined: frozenset[str]
    phrases: frozenset[str]
    combinations: Mapping[tuple[str, str], tuple[str, str]]
    argument_resources: Mapping[str, str]
    selectors: frozenset[str]
    generic_words: frozenset[str]
    recipients: frozenset[str]
    payees: frozenset[str]
    visibility: frozenset[str]
    public_values: frozenset[str]
    shell: Mapping[str, tuple[str, str]]
    code: tuple[tuple[str, tuple[str, str]], ...]
    sql: Mapping[str, str]
    http: Mapping[str, str]
    restricted_paths: re.Pattern[str]
    standing_paths: re.Pattern[str]
    access_paths: re.Pattern[str]
    restricted_words: frozenset[str]
    path_arguments: frozenset[str]
    tool_names: frozenset[str]
    tool_arguments: frozenset[str]
    specialise: Mapping[str, frozenset[str]]


@cache
def load_lexicon() -> Lexicon:
    """The lexicon of this release, read once."""
    data: Mapping[str, Any] = read_data("lexicon.json")
    resources = _weighted(data["resources"])
    verbs = {
        word: (verb, WEAK if word in resources and "_" not in word else weight)
        for word, (verb, weight) in _weighted(data["verbs"]).items()
    }
    products = dict(_pairs(data["products"]))
    known = {*verbs, *resources, *products}
    return Lexicon(
        verbs=verbs,
        resources=resources,
        products=products,
        prepositions=_words(data["prepositions"]),
        joined=_words(data["joined"]),
        phrases=frozenset(word for word in known if "_" in word),
        combinations=_combinations(data["combinations"]),
        argument_resources=dict(_pairs(data["arguments"])),
        selectors=_words(data["selector_arguments"]),
        generic_words=_words(data["generic_verb_words"]),
        recipients=_words(data["recipient_arguments"]),
        payees=_words(data["payee_arguments"]),
        visibility=_words(data["visibility_arguments"]),
        public_values=_words(data["public_values"]),
        shell={word: _pair(key) for key, words in data["shell"].items() for word in words.split()},
        code=tuple((mark, _pair(key)) for key, marks in data["code"].items() for mark in marks.split()),
        sql=dict(_pairs(data["sql"])),
        http=dict(_pairs(data["http"])),
        restricted_paths=_any_of(data["restricted_paths"]),
        standing_paths=_any_of(data["standing_paths"]),
        access_paths=_any_of(data["access_paths"]),
        restricted_words=_words(data["restricted_words"]),
        path_arguments=_words(data["path_arguments"]),
        tool_names=_words(data["tool_name_arguments"]),
        tool_arguments=_words(data["tool_argument_arguments"]),
        specialise={product: _words(classes) for product, classes in data["specialise"].items()},
    )


def split_name(name: str) -> tuple[str, ...]:
    """The words of a name in lower case, split at punctuation and camel case; bare numbers are dropped.

    Accents are taken off: a name in another language is written with and without them.
    """
    name = name[:NAME_CHARACTERS]
    if not name.isascii():
        name = "".join(one for one in unicodedata.normalize("NFKD", name) if not unicodedata.combining(one))
    return tuple(match.group().lower() for match in _WORD.finditer(name))


@lru_cache(maxsize=NAMES_REMEMBERED)
def read_name(name: str) -> NameReading:
    """What a tool's name says."""
    lexicon = load_lexicon()
    method, name = _route(name, lexicon)
    words = tuple(_phrases(split_name(name), lexicon))
    verb, verb_strength, verb_at = _verb(words, lexicon)
    if method is not None and not any(lexicon.verbs.get(word, ("", 0.0))[1] == STRONG for word in words):
        # A route names a thing, and its method what is done: only a clear verb in the path says more.
        verb, verb_strength, verb_at = method, STRONG, -1
    resource, resource_strength = _resource(words, verb, verb_at, lexicon)
    product = next((lexicon.products[word] for word in words if word in lexicon.products), None)
    return NameReading(
        verb=verb,
        verb_strength=verb_strength,
        resource=resource,
        resource_strength=resource_strength,
        product=product,
    )


def _route(name: str, lexicon: Lexicon) -> tuple[str | None, str]:
    """The verb of a name like "PATCH /orders/{id}" and its path without variables; None and the name for others."""
    found = _ROUTE.match(name[:NAME_CHARACTERS])
    if found is None:
        return None, name
    method = found["method"].lower()
    return "create" if method == "post" else lexicon.http.get(method), _VARIABLE.sub("", found["path"])


def _verb(words: tuple[str, ...], lexicon: Lexicon) -> tuple[str | None, float, int]:
    # What nobody knows at the front of a name is the vendor's or the server's.
    opening = next(
        (at for at, word in enumerate(words) if word in lexicon.verbs or word in lexicon.resources), 0
    )
    vendor = next((at for at, word in enumerate(words) if word not in lexicon.products), 0)
    candidates: list[tuple[float, int, str]] = []
    after_preposition = False
    for at, word in enumerate(words):
        after_preposition = after_preposition or (at > opening and word in lexicon.prepositions)
        if word not in lexicon.verbs:
            continue
        verb, weight = lexicon.verbs[word]
        thing = lexicon.resources.get(word, ("", WEAK))[0] != "social_post"
        if thing and vendor < at == len(words) - 1 and weight == WEAK and verb in _NOUNS_AT_THE_END:
            # "system_log" and "filing_text" are things; nothing is written or sent.
            continue
        score = weight
        if at == opening:
            score += OPENING
        elif after_preposition:
            score += AFTER_PREPOSITION
        elif at == len(words) - 1:
            # "order_status" and "order_history" are about an order, they do not place one.
            score += CLOSING_STATE if verb == "read" and weight == WEAK else 0.5
        candidates.append((score, -at, verb))
    if not candidates:
        return None, 0.0, -1
    score, negative_at, verb = max(candidates)
    # "get_or_create": of two openings the one with the greater effect.
    if any(word in lexicon.joined for word in words[1:3]):
        effects = load_taxonomy().verbs
        joined = [(found, -at) for _, at, found in candidates if -at <= 2]
        verb, at = max(
            [(verb, -negative_at), *joined], key=lambda item: _EFFECT_ORDER.index(effects[item[0]])
        )
        return verb, score, at
    return verb, score, -negative_at


def _resource(
    words: tuple[str, ...], verb: str | None, verb_at: int, lexicon: Lexicon
) -> tuple[str | None, float]:
    best: tuple[float, int, str] | None = None
    head = _head(words, verb_at, lexicon)
    changes = verb is not None and load_taxonomy().verbs[verb] == "mutate"
    after_preposition = False
    for at, word in enumerate(words):
        after_preposition = after_preposition or (at > 0 and word in lexicon.prepositions)
        if word in lexicon.resources:
            resource, score = lexicon.resources[word]
        elif word in lexicon.products:
            resource, score = lexicon.products[word], PRODUCT
        elif "_" in word and (last := word.rsplit("_", 1)[1]) in lexicon.resources:
            resource, score = lexicon.resources[last][0], WEAK
        else:
            continue
        # Public facts are looked up, not changed: "update_reservation_flights" changes the reservation.
        score += UNCHANGEABLE if changes and resource == "reference_data" else 0.0
        score += HEAD if at == head else 0.0
        score += AFTER_PREPOSITION if after_preposition else 0.0
        # A phrase names its object besides its verb: "send_money" is about money.
        score += USED_AS_VERB if at == verb_at and "_" not in word else 0.0
        if best is None or score >= best[0]:
            best = (score, at, resource)
    return (None, 0.0) if best is None else (best[2], best[0])


def _head(words: tuple[str, ...], verb_at: int, lexicon: Lexicon) -> int:
    head = -1
    for at, word in enumerate(words):
        if at > 0 and word in lexicon.prepositions:
            break
        if word in lexicon.resources and at != verb_at:
            head = at
    return head


def _phrases(words: tuple[str, ...], lexicon: Lexicon) -> Iterator[str]:
    """Words in the form the lexicon knows, the longest phrases joined."""
    at = 0
    while at < len(words):
        for length in range(min(PHRASE_WORDS, len(words) - at), 0, -1):
            found = _known(words[at : at + length], lexicon)
            if found is not None:
                yield found
                at += length
                break


def _known(words: tuple[str, ...], lexicon: Lexicon) -> str | None:
    """The lexicon's spelling of these words; None where two or more are no phrase of it."""
    joined, singular = "_".join(words), "_".join(_singular(word) for word in words)
    if len(words) > 1:
        return next((word for word in (joined, singular) if word in lexicon.phrases), None)
    known = (lexicon.verbs, lexicon.resources, lexicon.products, lexicon.prepositions)
    return joined if any(joined in part for part in known) else singular


def _singular(word: str) -> str:
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


def _weighted(lists: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, float]]:
    """Word to (member, weight); of two lists with one word the strong one counts, then the first."""
    found: dict[str, tuple[str, float]] = {}
    for strength, weight in (("strong", STRONG), ("weak", WEAK)):
        for member, words in lists.items():
            for word in words.get(strength, "").split():
                found.setdefault(word, (member, weight))
    return found


def _pairs(lists: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for member, words in lists.items():
        for word in words.split():
            yield word, member


def _any_of(text: str) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, text.split())))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pair(text: str) -> tuple[str, str]:
    verb, resource = text.split()
    return verb, resource


def _combinations(rows: Mapping[str, str]) -> dict[tuple[str, str], tuple[str, str]]:
    groups = load_taxonomy().groups
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for key, value in rows.items():
        verb, resource = _pair(key)
        members = groups[resource[1:]] if resource.startswith("@") else (resource,)
        becomes, of = _pair(value)
        for member in members:
            found.setdefault((verb, member), (becomes, member if of == "=" else of))
    return found
