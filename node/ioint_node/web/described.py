"""What a route says of itself: its parameters and its answers, for the description of the interface and its checks.

A *schema* is a type that msgspec can describe (a struct, dataclass, typed dictionary or annotated scalar), or a JSON
Schema in which such types may stand in place of subschemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

Schema: TypeAlias = Any
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of the query or a header that a route reads; those of the path are read from the path."""

    name: str
    schema: Schema = str
    about: str = ""
    where: Literal["query", "header"] = "query"
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer: what it means, the schema of each media type (none: no body), and what its headers say."""

    about: str
    content: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


Answers: TypeAlias = Mapping[int, Answer]
LIMIT: Final = Parameter(
    name="limit",
    schema={"type": "integer", "minimum": 1, "maximum": 500},
    about="How many items at most, 100 where it is left out.",
)
CURSOR: Final = Parameter(name="cursor", about="`next` of the page before.")
PAGED: Final = (LIMIT, CURSOR)


def answers(schema: Schema, about: str = "The answer.", *, status: int = 200) -> dict[int, Answer]:
    """The one successful answer of a route, in JSON."""
    return {status: Answer(about=about, content={JSON: schema})}


def page_of(row: Schema, *, about: str = "A page.", **more: Schema) -> dict[int, Answer]:
    """The envelope of a list: a page of rows and the cursor of the next, with what else it says."""
    return answers(
        {
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": row},
                "next": {"type": ["string", "null"]},
                **more,
            },
            "required": ["items", "next", *more],
        },
        about,
    )


def choice(name: str, values: tuple[str, ...], about: str = "") -> Parameter:
    """A parameter with a closed list of values."""
    return Parameter(name=name, schema={"type": "string", "enum": list(values)}, about=about)


def conflict(about: str) -> dict[int, Answer]:
    """That what is asked may contradict what is already so."""
    return {409: Answer(about=about)}


def missing(about: str) -> dict[int, Answer]:
    """That something which the body or the query names may not exist."""
    return {404: Answer(about=about)}


def fields(**properties: Schema) -> dict[str, Any]:
    """An object that has at least these fields, each of its schema."""
    return {"type": "object", "properties": properties, "required": list(properties)}
