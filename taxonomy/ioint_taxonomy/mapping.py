"""From a tool call to a step of the vocabulary.

The mapping is per call, not per tool, because arguments can hide the verb ("method": "delete"), the boundary (an
address) and the sensitivity (a path). Three sources in order of trust: a curated map of well-known tools, the hints
that a server gives with its tools, and a lexicon of words. A hint fills a gap and never overrules a name: the server
that gives it may be the attacker. What stays unknown is `execute`, with a confidence that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from ioint_taxonomy.commands import read_command, read_query
from ioint_taxonomy.lexicon import (
    NAMES_REMEMBERED,
    STRONG,
    WEAK,
    Lexicon,
    NameReading,
    load_lexicon,
    read_name,
    split_name,
)
from ioint_taxonomy.reach import boundary_of, sensitivity_of
from ioint_taxonomy.release import load_taxonomy, read_data

CURATED, CURATED_BY_NAME, HINTED = 0.95, 0.9, 0.8
BOTH_STRONG, ONE_STRONG, BOTH_WEAK, HALF = 0.75, 0.65, 0.55, 0.5
UNMAPPED = 0.2
SELECTOR_CHARACTERS = 64

_MUTATING_FALLBACK = "execute"
# With nothing else to go by, these are looked at far more often than changed.
_LOOKED_AT = frozenset({"reference_data", "web_page", "location", "log", "knowledge_base", "none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedCall:
    """What a call is in the vocabulary, how sure that is (0 to 1), and which source said so.

    `source` is one of curated, annotation, lexicon, unmapped.
    """

    verb: str
    resource: str
    sensitivity: str
    boundary: str
    confidence: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Verb and resource of a call, before its reach is known; `guessed` when the class is only a default."""

    verb: str
    resource: str
    confidence: float
    source: str
    guessed: bool = False


def map_call(
    tool: str,
    *,
    server: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    annotations: Mapping[str, Any] | None = None,
    curated: bool = True,
    own_domains: frozenset[str] = frozenset(),
) -> MappedCall:
    """What one call of a tool is; pure, and total: any name and any arguments give an answer.

    Args:
        tool: the tool's name as the agent calls it.
        server: the name of the server that offers it, where known.
        arguments: the call's arguments; values of any JSON type.
        annotations: the hints of the Model Context Protocol that came with the tool.
        curated: False leaves the curated map out, to measure the rest.
        own_domains: mail and web domains of the own organisation, lower case.
    """
    arguments = arguments if isinstance(arguments, Mapping) else {}
    kind = _curated_kind(tool, server) if curated else None
    if kind is None:
        kind = _read_kind(tool, server, arguments, annotations)
    kind = _by_arguments(kind, tool, arguments)
    return MappedCall(
        verb=kind.verb,
        resource=kind.resource,
        sensitivity="unknown" if kind.guessed else sensitivity_of(kind.resource, arguments),
        boundary=boundary_of(kind.verb, kind.resource, arguments, own_domains),
        confidence=kind.confidence,
        source=kind.source,
    )


@lru_cache(maxsize=NAMES_REMEMBERED)
def _curated_kind(tool: str, server: str | None) -> _Kind | None:
    by_server, by_name = _curated_tools()
    if server is not None and (found := by_server.get((_plain(server), _plain(tool)))) is not None:
        return _Kind(verb=found[0], resource=found[1], confidence=CURATED, source="curated")
    if (found := by_name.get(_plain(tool))) is not None:
        confidence = CURATED if server is None else CURATED_BY_NAME
        return _Kind(verb=found[0], resource=found[1], confidence=confidence, source="curated")
    return None


@cache
def _curated_tools() -> tuple[dict[tuple[str, str], tuple[str, str]], dict[str, tuple[str, str]]]:
    """By (server, tool), and by tool alone where every server that has it means the same and the name is its own."""
    by_server: dict[tuple[str, str], tuple[str, str]] = {}
    meanings: dict[str, set[tuple[str, str]]] = {}
    for server, entry in read_data("tools.json")["servers"].items():
        for meaning, names in entry["tools"].items():
            verb, resource = meaning.split()
            for name in names.split():
                for alias in (server, *entry.get("aliases", ())):
                    by_server[_plain(alias), _plain(name)] = (verb, resource)
                meanings.setdefault(_plain(name), set()).add((verb, resource))
    return by_server, {
        name: next(iter(found))
        for name, found in meanings.items()
        # One bare word ("search", "set") is too common to say whose it is.
        if len(found) == 1 and len(split_name(name)) > 1
    }


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _read_kind(
    tool: str, server: str | None, arguments: Mapping[str, Any], annotations: Mapping[str, Any] | None
) -> _Kind:
    reading = read_name(tool)
    verb, resource = reading.verb, reading.resource
    lexicon = load_lexicon()
    product = reading.product or (read_name(server).product if server is not None else None)
    if product is not None and lexicon.specialise.get(product) == resource:
        resource = product
    evidence = _argument_evidence(frozenset(str(name).lower() for name in arguments), lexicon)
    if resource is None or reading.resource_strength < WEAK:
        resource = evidence or resource or product
    hinted = None
    if verb is None:
        verb = _verb_by_arguments(arguments, lexicon)
        hinted = _hinted_verb(annotations)
        verb = verb or hinted
    if verb is None and resource in _LOOKED_AT:
        verb = "read"
    if verb is None:
        return _Kind(
            verb=_MUTATING_FALLBACK,
            resource=resource or "none",
            confidence=UNMAPPED if resource is None else UNMAPPED + 0.1,
            source="unmapped",
            guessed=resource is None,
        )
    verb, resource, guessed = _combined(verb, resource, lexicon)
    source, confidence = "lexicon", _name_confidence(reading, resource_found=not guessed)
    if hinted is not None or _hints_agree(verb, annotations):
        source, confidence = "annotation", max(confidence, HINTED if not guessed else HALF)
    elif _hints_contradict(verb, annotations):
        confidence = HALF
    return _Kind(verb=verb, resource=resource, confidence=confidence, source=source, guessed=guessed)


def _combined(verb: str, resource: str | None, lexicon: Lexicon) -> tuple[str, str, bool]:
    rewritten = lexicon.combinations.get((verb, resource or "none"))
    if rewritten is not None:
        return (*rewritten, False)
    return verb, resource or "none", resource is None and load_taxonomy().verbs[verb] not in ("derive", "run")


def _name_confidence(reading: NameReading, *, resource_found: bool) -> float:
    if reading.verb is None or not resource_found:
        return HALF
    strong = (reading.verb_strength >= STRONG) + (reading.resource_strength >= STRONG)
    return (BOTH_WEAK, ONE_STRONG, BOTH_STRONG)[strong]


def _hinted_verb(annotations: Mapping[str, Any] | None) -> str | None:
    if not annotations:
        return None
    if annotations.get("readOnlyHint") is True:
        return "read"
    if annotations.get("destructiveHint") is True:
        return "delete"
    if annotations.get("readOnlyHint") is False and annotations.get("destructiveHint") is False:
        return "create"
    return None


def _hints_agree(verb: str, annotations: Mapping[str, Any] | None) -> bool:
    return bool(annotations) and annotations is not None and annotations.get("readOnlyHint") is _only_reads(verb)


def _hints_contradict(verb: str, annotations: Mapping[str, Any] | None) -> bool:
    return bool(annotations) and annotations is not None and annotations.get("readOnlyHint") is (not _only_reads(verb))


def _only_reads(verb: str) -> bool:
    return load_taxonomy().verbs[verb] == "observe" or verb == "compute"


@lru_cache(maxsize=NAMES_REMEMBERED)
def _argument_evidence(names: frozenset[str], lexicon: Lexicon) -> str | None:
    """The resource class that most argument names point to."""
    votes: dict[str, int] = {}
    for name in names:
        resource = lexicon.argument_resources.get(name)
        if resource is not None:
            votes[resource] = votes.get(resource, 0) + 1
    return max(sorted(votes), key=lambda resource: votes[resource], default=None)


def _verb_by_arguments(arguments: Mapping[str, Any], lexicon: Lexicon) -> str | None:
    names = {str(name).lower() for name in arguments}
    if "amount" in names and names & lexicon.payees:
        return "pay"
    if names & {"recipient", "recipients", "to"} and names & {"subject", "body", "message", "text", "content"}:
        return "send"
    if names & {"command", "cmd", "code", "script"}:
        return "execute"
    if names & {"query", "q", "search_term", "keywords"}:
        return "search"
    if names and names <= {"url", "path", "file_path", "id"}:
        return "read"
    return None


def _by_arguments(kind: _Kind, tool: str, arguments: Mapping[str, Any]) -> _Kind:
    """The kind after the arguments that name an operation themselves: a command, a query, a method."""
    if not arguments:
        return kind
    if kind.verb == "execute" and (command := _text(arguments, "command", "cmd", "script")) is not None:
        found = read_command(command)
        if found is not None:
            return _Kind(
                verb=found[0], resource=found[1], confidence=min(kind.confidence, ONE_STRONG), source=kind.source
            )
    if kind.resource == "database" and (query := _text(arguments, "sql", "query", "statement")) is not None:
        verb = read_query(query)
        if verb is not None:
            return _with_verb(kind, verb)
    lexicon = load_lexicon()
    for name in lexicon.selectors & arguments.keys():
        verb = _selected_verb(arguments[name], kind, lexicon)
        if verb is not None and _is_generic(tool, lexicon):
            return _with_verb(kind, verb)
    return kind


def _selected_verb(value: object, kind: _Kind, lexicon: Lexicon) -> str | None:
    """The verb that an argument like `method` names, or None."""
    if not isinstance(value, str) or not value:
        return None
    text = value[:SELECTOR_CHARACTERS].lower()
    if kind.resource == "web_page" and text in lexicon.http:
        return lexicon.http[text]
    return read_name(text).verb


@lru_cache(maxsize=NAMES_REMEMBERED)
def _is_generic(tool: str, lexicon: Lexicon) -> bool:
    """Whether a tool's own verb is a wrapper around what an argument says ("manage", "write", "request")."""
    return bool(lexicon.generic_words.intersection(split_name(tool))) or read_name(tool).verb is None


def _with_verb(kind: _Kind, verb: str) -> _Kind:
    rewritten = load_lexicon().combinations.get((verb, kind.resource), (verb, kind.resource))
    return _Kind(
        verb=rewritten[0], resource=rewritten[1], confidence=kind.confidence, source=kind.source, guessed=kind.guessed
    )


def _text(arguments: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = arguments.get(name)
        if isinstance(value, str) and value:
            return value
    return None
