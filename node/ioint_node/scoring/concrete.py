"""The concrete side of an envelope: which tools, hosts, paths and tables a session may touch, where that is known.

The envelope says it in the abstract (verbs, resource classes, reach); an engine, a proxy or a resource wants names.
Tools come from the declaration's own list, each mapped to a step and held against the envelope. Hosts, path prefixes
and tables come from the caller, else from what the declaration names in so many words. A kind of which nothing was
named is not limited: naming narrows, and silence leaves the abstract envelope alone to decide.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote

from ioint_taxonomy import Envelope, MappedCall, Step, Taxonomy, map_call

from ioint_node.scoring.values import Declaration

TOOLS: Final = 256
STEPS_REMEMBERED: Final = 4_096  # tools by name: every session of an agent declares the same
NAMES: Final = 64  # hosts, paths and tables each
NAME_CHARS: Final = 256
TEXT_CHARS: Final = 4_000  # of a declaration that are read
ARGUMENTS_EXAMINED: Final = 32
VALUE_CHARS: Final = 512
QUERY_CHARS: Final = 2_048

Mapper = Callable[..., MappedCall]

_HOST_KEYS: Final = frozenset({"host", "hostname", "domain", "endpoint", "base_url", "url", "uri"})
_PATH_KEYS: Final = frozenset(
    {
        "path", "paths", "file", "files", "file_path", "filepath", "filename", "directory", "dir", "folder",
        "cwd", "source", "destination", "src", "dst", "target_path", "output", "root",
    }
)  # fmt: skip
_TABLE_KEYS: Final = frozenset({"table", "tables", "table_name", "collection"})
_QUERY_KEYS: Final = frozenset({"sql", "query", "statement"})

_URL: Final = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,15}://(?:[^/\s@]*@)?(\[[0-9a-f:.]+\]|[^/\s:?#\"'<>)\]]+)", re.IGNORECASE
)
_BARE_HOST: Final = re.compile(
    r"(?<![\w@./-])((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){2,6}[a-z]{2,24})(?![\w/@-])", re.IGNORECASE
)
_ADDRESS: Final = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?![\w.])")
_PATH: Final = re.compile(r"(?:(?<=[\s\"'`(])|^)(~?/[\w.@%+-][\w./@%+-]*|[A-Za-z]:\\[\w.\\ -]+)")
_NAME: Final = r"[\"`\[]?[A-Za-z_][\w$]*[\"`\]]?(?:\.[\"`\[]?[A-Za-z_][\w$]*[\"`\]]?){0,2}"
_TABLE: Final = re.compile(rf"\btables?\s+([`\"']?)({_NAME})", re.IGNORECASE)
_TABLES_USED: Final = re.compile(
    rf"\b(?:from|join|into|update|table)\s+((?:{_NAME}(?:\s+(?:as\s+)?\w+)?\s*,\s*)*{_NAME})",
    re.IGNORECASE,
)
_STATEMENT: Final = re.compile(
    r"\s*\(?\s*(?:select|insert|update|delete|merge|with|create|alter|drop|truncate|copy|explain|replace)\b",
    re.IGNORECASE,
)
_COMMENT: Final = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_BARE: Final = str.maketrans("", "", "\"'`[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Concrete:
    """What may be touched by name; an empty kind is not limited.

    `withheld` are tools that the session has and that its declared intent does not cover. `paths` are prefixes.
    """

    tools: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The names as JSON lists."""
        return {
            "tools": list(self.tools),
            "withheld": list(self.withheld),
            "hosts": list(self.hosts),
            "paths": list(self.paths),
            "tables": list(self.tables),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Concrete:
        """What `to_json` wrote; raises KeyError or TypeError on another shape."""
        return Concrete(
            **{
                name: tuple(str(one) for one in value[name])
                for name in ("tools", "withheld", "hosts", "paths", "tables")
            }
        )


NOTHING_NAMED: Final = Concrete()


def concrete_of(
    declaration: Declaration,
    envelope: Envelope,
    mapper: Mapper = map_call,
    taxonomy: Taxonomy | None = None,
    *,
    hosts: Sequence[str] = (),
    paths: Sequence[str] = (),
    tables: Sequence[str] = (),
) -> Concrete:
    """The names that a declaration stands for: its tools inside the envelope, and what it or its caller names.

    `hosts`, `paths` and `tables` are the caller's own words and go before what the text says. Every kind is bounded by
    `TOOLS` or `NAMES`; longer names than `NAME_CHARS` are left out. Costs about 50 µs and 2 µs for each tool, 15 µs for
    one that is new to this process.
    """
    text = declaration.text[:TEXT_CHARS]
    inside, outside = _sorted_tools(declaration.tools, envelope, mapper, taxonomy)
    return Concrete(
        tools=inside,
        withheld=outside,
        hosts=_kept(map(_host, hosts) if hosts else _hosts_in(text)),
        paths=_kept(map(_path, paths) if paths else map(_path, _PATH.findall(text))),
        tables=_kept(map(_table, tables) if tables else _tables_in(text)),
    )


def concrete_departures(
    concrete: Concrete, tool: str, server: str | None, arguments: Mapping[str, Any]
) -> tuple[str, ...]:
    """Where a call leaves the names, as printable reasons such as `host mail.example.net`; () where it stays inside.

    What is too long or too much to be examined counts as outside, so that padding hides nothing. At most 20 µs for a
    usual call.
    """
    found: list[str] = []
    if concrete.tools and tool not in concrete.tools and f"{server}.{tool}" not in concrete.tools:
        found.append(_reason("tool", tool))
    if not (concrete.hosts or concrete.paths or concrete.tables):
        return tuple(found)
    if len(arguments) > ARGUMENTS_EXAMINED:
        found.append(f"more than {ARGUMENTS_EXAMINED} arguments")
    for name, value in islice(arguments.items(), ARGUMENTS_EXAMINED):
        key = name.lower() if isinstance(name, str) else ""
        for text in _texts(value):
            found += _leaving(concrete, key, text)
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=STEPS_REMEMBERED)
def step_of_tool(tool: str, mapper: Mapper = map_call) -> Step:
    """What a tool does by its name alone, before there is a call."""
    call = mapper(tool)
    return Step(
        verb=call.verb,
        resource=call.resource,
        sensitivity=call.sensitivity,
        boundary=call.boundary,
        confidence=call.confidence,
    )


def _sorted_tools(
    tools: Sequence[str], envelope: Envelope, mapper: Mapper, taxonomy: Taxonomy | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    inside: list[str] = []
    outside: list[str] = []
    if taxonomy is not None:
        for tool in islice(dict.fromkeys(tools), TOOLS):
            (outside if envelope.departures(step_of_tool(tool, mapper), taxonomy) else inside).append(tool)
    return tuple(inside), tuple(outside)


def _leaving(concrete: Concrete, key: str, text: str) -> Iterator[str]:
    if concrete.hosts and (host := _host_used(key, text)) and not _is_host_of(host, concrete.hosts):
        yield _reason("host", host)
    if concrete.paths and (path := _path_used(key, text)) and not _is_under(path, concrete.paths):
        yield _reason("path", path)
    if concrete.tables:
        if key in _QUERY_KEYS and len(text) > QUERY_CHARS:
            yield f"query longer than {QUERY_CHARS} characters"
        for table in _tables_used(key, text):
            if not any(_same_table(table, known) for known in concrete.tables):
                yield _reason("table", table)


def _texts(value: object) -> Iterator[str]:
    """The texts in a value, one level into lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        yield from (item for item in value[:ARGUMENTS_EXAMINED] if isinstance(item, str))


def _host_used(key: str, text: str) -> str:
    found = _URL.match(text[:VALUE_CHARS].lstrip())
    if found is not None:
        return _host(found[1])
    return _host(text[:VALUE_CHARS]) if key in _HOST_KEYS and text and "/" not in text[:1] else ""


def _path_used(key: str, text: str) -> str:
    if not text or (key not in _PATH_KEYS and not text.startswith(("/", "~/", "../", "./", "file://"))):
        return ""
    if "://" in text[:16] and not text.startswith("file://"):
        return ""
    if len(text) > VALUE_CHARS:
        return text
    return _path(text.removeprefix("file://"))


def _tables_used(key: str, text: str) -> Iterator[str]:
    if key in _TABLE_KEYS:
        yield _table(text[:VALUE_CHARS])
    elif key in _QUERY_KEYS:
        cut = text[:QUERY_CHARS]
        if "/*" in cut or "--" in cut:
            cut = _COMMENT.sub(" ", cut)
        if not _STATEMENT.match(cut):
            return  # a search in words
        for clause in _TABLES_USED.findall(cut):
            yield from (_table(one.split()[0]) for one in clause.split(",") if one.strip())


def _host(text: str) -> str:
    """A host's name in lower case, without scheme, port, path and trailing dot."""
    bare = text.strip().lower().rpartition("://")[2]
    bare = re.split(r"[/?#]", bare, maxsplit=1)[0].rpartition("@")[2]
    if not bare.startswith("["):
        bare = bare.partition(":")[0]
    return bare.rstrip(".")


def _is_host_of(host: str, known: Sequence[str]) -> bool:
    """Whether a host is one of those named; `*.example.org` names those below it."""
    return any(host == one or (one.startswith("*.") and host.endswith(one[1:])) for one in known)


def _path(text: str) -> str:
    """A path with its dots resolved, so that `..` cannot lead out of a prefix unseen."""
    plain = unquote(text) if "%" in text else text
    plain = plain.strip().replace("\\", "/")
    if not plain:
        return ""
    plain = posixpath.normpath(plain)
    return f"/{plain.lstrip('/')}" if plain.startswith("//") else plain


def _is_under(path: str, prefixes: Sequence[str]) -> bool:
    if len(path) > VALUE_CHARS or "\0" in path:
        return False
    absolute = path.startswith(("/", "~")) or path[1:2] == ":"
    if not absolute:
        return not path.startswith("..")  # inside the agent's own directory, wherever that is
    bare = path.rstrip("/")
    return any(bare == (one := prefix.rstrip("/")) or bare.startswith(f"{one}/") for prefix in prefixes)


def _table(text: str) -> str:
    return text.translate(_BARE).strip().lower()


def _same_table(used: str, known: str) -> bool:
    """Equal names; a name without its schema stands for that table in any."""
    return used == known or used.endswith(f".{known}") or known.endswith(f".{used}")


def _hosts_in(text: str) -> Iterator[str]:
    for pattern in (_URL, _BARE_HOST, _ADDRESS):
        yield from map(_host, pattern.findall(text))


def _tables_in(text: str) -> Iterator[str]:
    for quote, name in _TABLE.findall(text):
        # "the table of contents" names no table; a quoted or a joined word does.
        if quote or "." in name or "_" in name:
            yield _table(name)


def _kept(names: Iterator[str] | map[str]) -> tuple[str, ...]:
    fitting = (name for name in names if 1 < len(name) <= NAME_CHARS and name.isprintable())
    return tuple(islice(dict.fromkeys(islice(fitting, NAMES * 4)), NAMES))


def _reason(kind: str, name: str) -> str:
    shown = "".join(letter if letter.isprintable() else "�" for letter in name[:64])
    return f"{kind} {shown}"
