"""How far a call reaches and how sensitive what it touches is, from its arguments and its resource class.

Reading stays in the model's context. A change takes effect where its resource lives. What is sent, shared, granted or
paid goes to whom the arguments name: an address of one's own domains is in the tenant, any other is external, for
nothing here knows who is a partner. A call that asks for a public audience is public.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from ioint_taxonomy.lexicon import NAME_CHARACTERS, Lexicon, load_lexicon, split_name
from ioint_taxonomy.release import load_taxonomy

ARGUMENTS_EXAMINED = 24
VALUES_EXAMINED = 24
VALUE_CHARACTERS = 512

_DOMAIN = re.compile(
    r"(?:[^@\s<>\"',;]+@|https?://(?:[^@/\s]+@)?)([a-z0-9-]+(?:\.[a-z0-9-]+)+)", re.IGNORECASE
)
_PHONE = re.compile(r"\+?\d[\d ().-]{6,}\Z")
# Flags that open an audience: two by being true, one by being false.
_AUDIENCE_FLAGS = frozenset({"is_public", "private", "public"})
_NAMED_BY_A_PATH = frozenset({"database", "file", "message", "process", "source_code"})
_QUERIES = frozenset({"query", "sql", "statement"})
_TABLE = re.compile(r"\b(?:from|join|into|update|table)\s+([\w.\"]+)")
_OUTWARD = frozenset({"send", "share", "delegate", "grant"})
# A new calendar entry with guests, or an upload to an address, leaves as surely as a message does.
_MAY_CARRY_RECIPIENTS = frozenset({"create", "update", "schedule", "export", "configure"})
# An address in one of these is part of the record; nobody is written to.
_HOLDS_ADDRESSES = frozenset({"contact", "customer_record", "hr_record", "identity", "profile"})
_BY_VERB = {
    "export": "same_principal",
    "escalate": "same_principal",
    "execute": "same_principal",
    "authenticate": "same_principal",
    "install": "same_principal",
    "deploy": "same_tenant",
    "delegate": "same_tenant",
    "grant": "same_tenant",
    "revoke": "same_tenant",
    "approve": "same_tenant",
    "interact": "external",
    "actuate": "physical_world",
    "pay": "partner",
    "order": "partner",
}


def boundary_of(
    verb: str, resource: str, arguments: Mapping[str, Any], own_domains: frozenset[str] = frozenset()
) -> str:
    """Where the effect of a call lands; one of the taxonomy's boundaries."""
    taxonomy, lexicon = load_taxonomy(), load_lexicon()
    effect = taxonomy.verbs[verb]
    if effect in ("observe", "derive"):
        return "in_context"
    usual = _usual_boundary(verb, resource)
    if _asks_for_a_public(arguments, lexicon):
        return "public"
    if verb == "pay":
        return "external" if any(_named(arguments, lexicon.payees)) else usual
    if verb in _OUTWARD:
        return _recipients_reach(arguments, lexicon, own_domains) or usual
    if verb in _MAY_CARRY_RECIPIENTS and resource not in _HOLDS_ADDRESSES:
        named = _recipients_reach(arguments, lexicon, own_domains)
        return usual if named is None else max(usual, named, key=taxonomy.boundary_rank)
    return usual


def sensitivity_of(resource: str, arguments: Mapping[str, Any]) -> str:
    """How sensitive the data touched is: that of its class, and restricted where a path or a table says so."""
    if resource in _NAMED_BY_A_PATH and (
        _touches_credentials(arguments) or _named_restricted(resource, arguments)
    ):
        return "restricted"
    return load_taxonomy().resource_classes[resource].sensitivity


def _usual_boundary(verb: str, resource: str) -> str:
    if verb in ("create", "update", "share") and resource == "web_page":
        return "public"
    if verb in ("send", "share") and resource in ("email", "payment", "contact", "file", "media", "web_page"):
        return "external"
    if verb in _BY_VERB:
        return _BY_VERB[verb]
    if resource == "none":
        # A change to something that no word names is somewhere in the organisation, not in the model's context.
        return "same_tenant"
    boundary = load_taxonomy().resource_classes[resource].boundary
    # Pushing or publishing something has an audience, so it lands at least within the organisation.
    if verb in _OUTWARD and load_taxonomy().boundary_rank(boundary) < load_taxonomy().boundary_rank(
        "same_tenant"
    ):
        return "same_tenant"
    return boundary


def _recipients_reach(
    arguments: Mapping[str, Any], lexicon: Lexicon, own_domains: frozenset[str]
) -> str | None:
    """The furthest of the addresses named, or None where no address is."""
    furthest: str | None = None
    for text in _named(arguments, lexicon.recipients):
        domains = _DOMAIN.findall(text)
        if any(not _is_own(domain, own_domains) for domain in domains):
            return "external"
        if not domains and _PHONE.match(text):
            return "external"
        if domains:
            furthest = "same_tenant"
    return furthest


def _is_own(domain: str, own_domains: frozenset[str]) -> bool:
    domain = domain.lower()
    return any(domain == own or domain.endswith("." + own) for own in own_domains)


def _asks_for_a_public(arguments: Mapping[str, Any], lexicon: Lexicon) -> bool:
    for name in lexicon.visibility & arguments.keys():
        value = arguments[name]
        if isinstance(value, bool):
            if value is (name in ("public", "is_public")) and name in _AUDIENCE_FLAGS:
                return True
        elif isinstance(value, str) and value[:VALUE_CHARACTERS].lower() in lexicon.public_values:
            return True
    return False


def _touches_credentials(arguments: Mapping[str, Any]) -> bool:
    marks = load_lexicon().restricted_paths
    return any(marks.search(text) for text in _texts(arguments.values()))


def _named_restricted(resource: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a path, channel or table has a word of restricted data in its name."""
    lexicon = load_lexicon()
    named = [text[:NAME_CHARACTERS] for text in _named(arguments, lexicon.path_arguments)]
    if resource == "database":
        named += [table for text in _named(arguments, _QUERIES) for table in _TABLE.findall(text)]
    return any(not lexicon.restricted_words.isdisjoint(split_name(name)) for name in named)


def _named(arguments: Mapping[str, Any], names: frozenset[str]) -> Iterator[str]:
    for name, value in islice(arguments.items(), ARGUMENTS_EXAMINED):
        if name.lower() in names:
            yield from _texts((value,))


def _texts(values: Iterable[object]) -> Iterator[str]:
    """The strings in a value, one level into lists, each cut to what is examined."""
    for value in islice(values, VALUES_EXAMINED):
        if isinstance(value, str):
            if value:
                yield value[:VALUE_CHARACTERS].lower()
        elif isinstance(value, (list, tuple)):
            for item in value[:VALUES_EXAMINED]:
                if isinstance(item, str) and item:
                    yield item[:VALUE_CHARACTERS].lower()
