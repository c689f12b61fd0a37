"""The routes as an OpenAPI 3.1 document, made of what each says of itself.

What follows from a route without being said is derived: who needs a token may be answered 401, 403 and 429; a body may
be too slow, too large or of another media type; what a path names may not exist; any request may be malformed or come
while the node cannot serve it. The rest is in `Route.answers`: a document that says more than the routes do would
only be believed until it is tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from ioint_node.access.rights import ANY_TOKEN
from ioint_node.web.described import Answer, Parameter, Schema
from ioint_node.web.problems import form_of
from ioint_node.web.site import Route

_REFERENCE: Final = "#/components/schemas/{name}"
_IN_PATH: Final = re.compile(r"{(\w+)(?::[^}]*)?}")
_ALWAYS: Final = {
    400: "What was sent is malformed; `field` names the fault where it is in one field or parameter.",
    417: "An `Expect` other than `100-continue`.",
    503: "The node cannot serve this now; the same request may succeed later.",
}
_WITH_TOKEN: Final = {
    401: "No token, or one that is unknown, expired or revoked.",
    403: "The token's role or scopes do not open this, or it is bound to another actor.",
    429: "Too many requests of this token, or too many failed sign-ins from this address.",
}
_WITH_BODY: Final = {
    408: "The body took too long.",
    413: "The body is larger than the bound.",
    415: "The body is of another media type.",
}
_WITH_NAMES: Final = {404: "What the path names does not exist, or is above the token's clearance."}
_HEADERS: Final[Mapping[int, Mapping[str, str]]] = {
    401: {"WWW-Authenticate": "How to sign in."},
    429: {"Retry-After": "Seconds to wait."},
}
_SECURITY: Final[Sequence[dict[str, list[str]]]] = ({"bearer": []}, {"basic": []})
_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "any user name; the token as password"},
}


def describe(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document: every path that is served, what it takes and what it answers."""
    routes = tuple(routes)
    words = _Words(_types(_schemas(routes)))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        plain = _IN_PATH.sub(r"{\1}", route.path)
        paths.setdefault(plain, {})[route.method.lower()] = _operation(route, words)
    return {
        "openapi": "3.1.0",
        "info": {"title": "IOINT node", "version": version},
        "paths": paths,
        "components": {"schemas": words.components, "securitySchemes": _SCHEMES},
    }


def derived(route: Route) -> dict[int, Answer]:
    """The refusals that follow from what a route is."""
    found = dict(_ALWAYS)
    if route.may is not None:
        found |= _WITH_TOKEN
    if route.body is not None:
        found |= _WITH_BODY
    if _IN_PATH.search(route.path):
        found |= _WITH_NAMES
    return {status: refusal(route.path, status, about) for status, about in found.items()}


def refusal(path: str, status: int, about: str) -> Answer:
    """A refusal on this path, in the form that refusals have there."""
    form = form_of(path)
    return Answer(about=about, content=form.content, headers=_HEADERS.get(status, {}))


class _Words:
    """The types that the document speaks of, each described once."""

    def __init__(self, types: Sequence[type]) -> None:
        named, self.components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
        self._named = dict(zip(map(_key, types), named, strict=True))

    def of(self, schema: Schema) -> Any:  # noqa: ANN401 - any JSON value
        """A schema with references in place of types."""
        if isinstance(schema, Mapping):
            return {name: self.of(value) for name, value in schema.items()}
        if isinstance(schema, (list, tuple)):
            return [self.of(value) for value in schema]
        if schema is None or isinstance(schema, (str, int, float)):
            return schema
        return self._named[_key(schema)]


def _operation(route: Route, words: _Words) -> dict[str, Any]:
    forms = form_of(route.path).statuses
    given = {forms.get(status, status): answer for status, answer in derived(route).items()}
    stated = {
        status: answer if answer.content or status < 400 else refusal(route.path, status, answer.about)
        for status, answer in route.answers.items()
    }
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _name(route),
        "security": [] if route.may is None else list(_SECURITY),
        "responses": {
            str(status): _response(answer, words) for status, answer in sorted((given | stated).items())
        },
    }
    if route.may is not None:
        operation["x-ioint-right"] = "any" if route.may == ANY_TOKEN else route.may
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": words.of(route.body)}},
        }
    names = [Parameter(name=name, required=True) for name in _IN_PATH.findall(route.path)]
    if parameters := [
        *(_parameter(one, "path", words) for one in names),
        *(_parameter(one, one.where, words) for one in route.query),
    ]:
        operation["parameters"] = parameters
    return operation


def _name(route: Route) -> str:
    """One name for each operation, which generators of clients call it by."""
    words = re.findall(r"[A-Za-z0-9]+", route.path)
    return "_".join([route.method.lower(), *words]) or route.method.lower()


def _parameter(one: Parameter, where: str, words: _Words) -> dict[str, Any]:
    about = {"description": one.about} if one.about else {}
    return {
        "name": one.name,
        "in": where,
        "required": one.required or where == "path",
        "schema": words.of(one.schema),
        **about,
    }


def _response(answer: Answer, words: _Words) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.about}
    if answer.content:
        found["content"] = {media: {"schema": words.of(schema)} for media, schema in answer.content.items()}
    if answer.headers:
        found["headers"] = {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in answer.headers.items()
        }
    return found


def _schemas(routes: Iterable[Route]) -> Iterator[Schema]:
    for route in routes:
        yield route.body
        yield from (one.schema for one in route.query)
        yield str  # of the names in a path
        for answer in (*derived(route).values(), *route.answers.values()):
            yield from answer.content.values()
        yield from form_of(route.path).content.values()


def _types(schemas: Iterable[Schema]) -> list[type]:
    found: dict[str, type] = {}
    waiting = list(schemas)
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, (list, tuple)):
            waiting += one
        elif one is not None and not isinstance(one, (str, int, float)):
            found[_key(one)] = one
    return [found[key] for key in sorted(found)]


def _key(kind: Any) -> str:  # noqa: ANN401 - a type, or an annotated one, which need not be hashable
    return repr(kind)
