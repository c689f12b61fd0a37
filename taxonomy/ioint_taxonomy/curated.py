"""Tools that are known by name: what they do, and which of their arguments change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

from ioint_taxonomy.lexicon import NAMES_REMEMBERED, split_name
from ioint_taxonomy.release import read_data

CURATED, CURATED_BY_NAME = 0.95, 0.9

Meaning = tuple[str, str]
# argument name → its value in lower case → meaning
Rules = Mapping[str, Mapping[str, Meaning]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTool:
    """A tool of the curated map: its verb and resource, how sure, and the rules of its arguments."""

    verb: str
    resource: str
    confidence: float
    rules: Rules = field(default_factory=dict)


@lru_cache(maxsize=NAMES_REMEMBERED)
def find_tool(tool: str, server: str | None) -> KnownTool | None:
    """The tool of this server, else the only meaning that a tool of this name has anywhere, else None."""
    by_server, by_name = _index()
    name = _plain(tool)
    if server is not None and (known := by_server.get((_plain(server), name))) is not None:
        return known
    return by_name.get(name)


@cache
def _index() -> tuple[dict[tuple[str, str], KnownTool], dict[str, KnownTool]]:
    by_server: dict[tuple[str, str], KnownTool] = {}
    meanings: dict[str, list[KnownTool]] = {}
    for server, entry in read_data("tools.json")["servers"].items():
        rules = entry.get("rules", {})
        for meaning, names in entry["tools"].items():
            verb, resource = meaning.split()
            for name in names.split():
                known = KnownTool(
                    verb=verb, resource=resource, confidence=CURATED, rules=_rules(rules.get(name, {}))
                )
                for alias in (server, *entry["aliases"]):
                    by_server[_plain(alias), _plain(name)] = known
                meanings.setdefault(_plain(name), []).append(known)
    by_name = {
        name: KnownTool(
            verb=known[0].verb, resource=known[0].resource, confidence=CURATED_BY_NAME, rules=known[0].rules
        )
        for name, known in meanings.items()
        # One bare word ("search", "set") is too common to say whose it is.
        if len({(one.verb, one.resource) for one in known}) == 1 and len(split_name(name)) > 1
    }
    return by_server, by_name


def _rules(rows: Mapping[str, Mapping[str, str]]) -> Rules:
    return {
        argument: {value: (meaning.split()[0], meaning.split()[1]) for value, meaning in values.items()}
        for argument, values in rows.items()
    }


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
