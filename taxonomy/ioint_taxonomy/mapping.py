"""From a tool call to a step of the vocabulary.

The mapping is per call, not per tool, because arguments can hide the verb ("method": "delete"), the boundary (an
address) and the sensitivity (a path). Three sources in order of trust: a curated map of well-known tools, a lexicon
of words, and the hints that a server gives with its tools. A hint fills a gap and never overrules a name: the server
that gives it may be the attacker. What stays unknown is `execute` of `none`, with a confidence that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ioint_taxonomy.commands import read_code, read_command, read_query, standing_effect
from ioint_taxonomy.curated import KnownTool, find_tool
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
from ioint_taxonomy.release import load_taxonomy

HINTED = 0.8
BOTH_WEAK, ONE_STRONG, BOTH_STRONG, HALF_KNOWN = 0.55, 0.65, 0.75, 0.5
RESOURCE_ONLY, UNMAPPED = 0.3, 0.2
SELECTOR_CHARACTERS = 64
PATH_CHARACTERS = 256
ARGUMENTS_EXAMINED = 64

# An argument of one of these names says what is done whatever the tool is called.
_OPERATION_NAMES = frozenset({"action", "command", "method", "op", "operation"})
# With nothing else to go by, these are looked at far more often than changed.
_LOOKED_AT = frozenset({"reference_data", "web_page", "location", "log", "knowledge_base", "none"})


class MappedCall(Struct, frozen=True, kw_only=True):
    """What a call is in the vocabulary, how sure that is (0 to 1), and which source said so.

    `source` is one of curated, annotation, lexicon, unmapped.
    """

    verb: str
    resource: str
    sensitivity: str
    boundary: str
    confidence: float
    source: str


class _Kind(Struct, frozen=True, kw_only=True):
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
    given = _examined(arguments)
    kind = _kind(tool, server, given, annotations, curated=curated)
    if (kind.verb, kind.resource) == ("execute", "tool") and (inner := _inner_call(given)) is not None:
        # A tool that calls tools is what it calls.
        tool, given = inner
        kind = _kind(tool, server, given, None, curated=curated)
    return MappedCall(
        verb=kind.verb,
        resource=kind.resource,
        sensitivity="unknown" if kind.guessed else sensitivity_of(kind.resource, given),
        boundary=boundary_of(kind.verb, kind.resource, given, own_domains),
        confidence=kind.confidence,
        source=kind.source,
    )


def _examined(arguments: object) -> dict[str, Any]:
    if not isinstance(arguments, Mapping):
        return {}
    named = {name: value for name, value in arguments.items() if isinstance(name, str)}
    return dict(islice(named.items(), ARGUMENTS_EXAMINED)) if len(named) > ARGUMENTS_EXAMINED else named


def _kind(
    tool: str,
    server: str | None,
    arguments: Mapping[str, Any],
    annotations: Mapping[str, Any] | None,
    *,
    curated: bool,
) -> _Kind:
    known = find_tool(tool, server) if curated else None
    if known is None:
        return _by_arguments(_read_kind(tool, server, arguments, annotations), tool, arguments)
    kind = _Kind(verb=known.verb, resource=known.resource, confidence=known.confidence, source="curated")
    return _by_rules(kind, known, arguments) or _by_arguments(kind, tool, arguments)


def _by_rules(kind: _Kind, known: KnownTool, arguments: Mapping[str, Any]) -> _Kind | None:
    for argument, meanings in known.rules.items():
        value = arguments.get(argument)
        if isinstance(value, str) and (meaning := meanings.get(value.lower())) is not None:
            return replace(kind, verb=meaning[0], resource=meaning[1])
    return None


def _inner_call(arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The name and arguments of the tool that a call names, or None."""
    lexicon = load_lexicon()
    name = next((value for key, value in arguments.items() if key in lexicon.tool_names), None)
    if not isinstance(name, str) or not name:
        return None
    inner = next((value for key, value in arguments.items() if key in lexicon.tool_arguments), None)
    return name, _examined(inner)


def _read_kind(
    tool: str, server: str | None, arguments: Mapping[str, Any], annotations: Mapping[str, Any] | None
) -> _Kind:
    lexicon = load_lexicon()
    reading = read_name(tool)
    resource = _resource(reading, server, arguments, lexicon)
    hinted = _hinted_verb(annotations) if reading.verb is None else None
    verb = reading.verb or _verb_by_arguments(arguments, lexicon) or hinted
    if (verb, resource) == ("create", "payment") and _verb_by_arguments(arguments, lexicon) == "pay":
        # A payment that names an amount and a payee is not only written down.
        verb = "pay"
    if verb is None and resource in _LOOKED_AT:
        verb = "read"
    if verb is None:
        return _Kind(
            verb="execute",
            resource=resource or "none",
            confidence=UNMAPPED if resource is None else RESOURCE_ONLY,
            source="unmapped",
            guessed=resource is None,
        )
    verb, resource, guessed = _combined(verb, resource, lexicon)
    confidence = _name_confidence(reading, resource_found=not guessed)
    agrees = _hint_agrees(verb, annotations)
    if verb == hinted or agrees:
        return _Kind(
            verb=verb,
            resource=resource,
            confidence=confidence if guessed else HINTED,
            source="annotation",
            guessed=guessed,
        )
    if agrees is False:
        confidence = HALF_KNOWN
    return _Kind(verb=verb, resource=resource, confidence=confidence, source="lexicon", guessed=guessed)


def _resource(
    reading: NameReading, server: str | None, arguments: Mapping[str, Any], lexicon: Lexicon
) -> str | None:
    resource = reading.resource
    product = reading.product or (read_name(server).product if server else None)
    if product is not None and (resource or "none") in lexicon.specialise.get(product, ()):
        return product
    if resource is None or reading.resource_strength < WEAK:
        names = frozenset(name.lower() for name in arguments)
        return _resource_by_arguments(names, lexicon) or resource or product
    return resource


def _combined(verb: str, resource: str | None, lexicon: Lexicon) -> tuple[str, str, bool]:
    """Verb and resource after the combinations, and whether the resource is only a default."""
    rewritten = lexicon.combinations.get((verb, resource or "none"))
    if rewritten is not None:
        return (*rewritten, False)
    return verb, resource or "none", resource is None and load_taxonomy().verbs[verb] not in ("derive", "run")


def _name_confidence(reading: NameReading, *, resource_found: bool) -> float:
    if reading.verb is None or not resource_found:
        return HALF_KNOWN
    strong = (reading.verb_strength >= STRONG) + (reading.resource_strength >= STRONG)
    return (BOTH_WEAK, ONE_STRONG, BOTH_STRONG)[strong]


def _hinted_verb(annotations: Mapping[str, Any] | None) -> str | None:
    if not isinstance(annotations, Mapping):
        return None
    if annotations.get("readOnlyHint") is True:
        return "read"
    if annotations.get("destructiveHint") is True:
        return "delete"
    if annotations.get("destructiveHint") is False:
        return "create"
    return None


def _hint_agrees(verb: str, annotations: Mapping[str, Any] | None) -> bool | None:
    """Whether the read-only hint says what the verb says; None where no hint is given."""
    hint = annotations.get("readOnlyHint") if isinstance(annotations, Mapping) else None
    only_reads = load_taxonomy().verbs[verb] == "observe" or verb == "compute"
    return hint is only_reads if isinstance(hint, bool) else None


@lru_cache(maxsize=NAMES_REMEMBERED)
def _resource_by_arguments(names: frozenset[str], lexicon: Lexicon) -> str | None:
    """The resource class that most argument names point to."""
    votes: dict[str, int] = {}
    for name in names:
        resource = lexicon.argument_resources.get(name)
        if resource is not None:
            votes[resource] = votes.get(resource, 0) + 1
    return max(sorted(votes), key=lambda resource: votes[resource], default=None)


def _verb_by_arguments(arguments: Mapping[str, Any], lexicon: Lexicon) -> str | None:
    names = {name.lower() for name in arguments}
    if "amount" in names and names & lexicon.payees:
        return "pay"
    if names & {"recipient", "recipients", "to"} and names & {
        "subject",
        "body",
        "message",
        "text",
        "content",
    }:
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
    for reading in (_by_program, _by_target, _by_query, _by_method):
        found = reading(kind, tool, arguments)
        if found is not None:
            return found
    return _by_selector(kind, tool, arguments)


def _by_program(kind: _Kind, _tool: str, arguments: Mapping[str, Any]) -> _Kind | None:
    """What a command line or a piece of code that is run does."""
    if kind.verb != "execute":
        return None
    found = None
    if (command := _text(arguments, "command", "cmd", "script")) is not None:
        found = read_command(command)
    if found is None and (code := _text(arguments, "code", "source")) is not None:
        found = read_code(code)
    if found is None:
        return None
    confidence = min(kind.confidence, ONE_STRONG)
    return _understood(replace(kind, verb=found[0], resource=found[1], confidence=confidence, guessed=False))


def _by_target(kind: _Kind, tool: str, arguments: Mapping[str, Any]) -> _Kind | None:
    """What a change means where it is made: at an account's address, at a place of the web, in a file that runs."""
    if (kind.verb, kind.resource) == ("update", "email") and "email" in arguments:
        # The new address is an argument: it is the account's address that changes, not a letter.
        return replace(kind, verb="configure", resource="identity")
    if kind.verb == "create" and _is_address(arguments) and "upload" in split_name(tool):
        return replace(kind, verb="send")
    if kind.resource == "file" and kind.verb in ("create", "update"):
        path = _text(arguments, "path", "file_path", "filepath", "filename", "file", "destination")
        found = None if path is None else standing_effect(path[:PATH_CHARACTERS].lower())
        if found is not None:
            return replace(kind, verb=found[0], resource=found[1], guessed=False)
    return None


def _by_query(kind: _Kind, _tool: str, arguments: Mapping[str, Any]) -> _Kind | None:
    if kind.resource != "database" or (query := _text(arguments, "sql", "query", "statement")) is None:
        return None
    verb = read_query(query)
    return None if verb is None else _with_verb(kind, verb)


def _by_method(kind: _Kind, _tool: str, arguments: Mapping[str, Any]) -> _Kind | None:
    requested = _http_verb(arguments, load_lexicon())
    if requested is None:
        return None
    return _understood(replace(kind, verb=requested, resource="web_page", guessed=False))


def _by_selector(kind: _Kind, tool: str, arguments: Mapping[str, Any]) -> _Kind:
    """The kind after an argument like `action` that names what is done."""
    lexicon = load_lexicon()
    if lexicon.selectors.isdisjoint(arguments):
        return kind
    for name in sorted(lexicon.selectors & arguments.keys()):
        if kind.verb == "execute" and name == "command":
            continue
        verb = _selected_verb(arguments[name])
        if verb is not None and (name in _OPERATION_NAMES or _is_generic(tool, lexicon)):
            return _with_verb(kind, verb)
    return kind


def _is_address(arguments: Mapping[str, Any]) -> bool:
    return (_text(arguments, "url", "uri", "endpoint", "destination") or "").startswith("http")


def _http_verb(arguments: Mapping[str, Any], lexicon: Lexicon) -> str | None:
    """The verb of a web request: a method of the protocol next to an address, or None."""
    method = arguments.get("method")
    if not isinstance(method, str) or not _is_address(arguments):
        return None
    return lexicon.http.get(method.lower())


def _selected_verb(value: object) -> str | None:
    """The verb that an argument like `action` names, or None; a sentence is not a name."""
    if not isinstance(value, str) or len(value) > SELECTOR_CHARACTERS or value.count(" ") > 2:
        return None
    return read_name(value).verb


@lru_cache(maxsize=NAMES_REMEMBERED)
def _is_generic(tool: str, lexicon: Lexicon) -> bool:
    """Whether a tool's own verb is a wrapper around what an argument says ("manage", "write", "request")."""
    return bool(lexicon.generic_words.intersection(split_name(tool))) or read_name(tool).verb is None


def _with_verb(kind: _Kind, verb: str) -> _Kind:
    verb, resource = load_lexicon().combinations.get((verb, kind.resource), (verb, kind.resource))
    guessed = kind.guessed and resource == kind.resource
    return _understood(replace(kind, verb=verb, resource=resource, guessed=guessed))


def _understood(kind: _Kind) -> _Kind:
    """The kind of a call whose name said nothing and whose arguments did."""
    if kind.source != "unmapped":
        return kind
    return replace(kind, source="lexicon", confidence=HALF_KNOWN)


def _text(arguments: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = arguments.get(name)
        if isinstance(value, str) and value:
            return value
    return None
