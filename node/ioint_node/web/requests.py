"""Bodies and parameters as typed values; whatever does not fit is refused with the name of the field."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Collection
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import msgspec.inspect
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from ioint_node.filtering.language import CHARS_MOST
from ioint_node.store.times import from_text
from ioint_node.web.limits import WebLimits
from ioint_node.web.problems import Refusal, bad_field

T = TypeVar("T")
_SAID_CHARS = 256  # of the decoder's message, which may quote what was sent
_FIELD_CHARS = 64
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_HOLDING = frozenset({dict, list})
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_WHERE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_ENUM = re.compile(r"^Invalid enum value (?P<value>.*)$", re.DOTALL)
_PATTERN = re.compile(r"^Expected `str` matching regex")
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")

# What a pattern says, in words: the text of a refusal, and of the description of the interface.
PRINTABLE = r"^[!-~]+$"
PRINTABLE_TEXT = "printable ASCII characters without blanks"
SessionId = Annotated[str, Meta(min_length=1, max_length=128, pattern=PRINTABLE, description=PRINTABLE_TEXT)]
ActionId = Annotated[str, Meta(min_length=1, max_length=128, pattern=PRINTABLE, description=PRINTABLE_TEXT)]
ActorId = Annotated[str, Meta(min_length=1, max_length=256)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
ShortText = Annotated[str, Meta(max_length=2_048)]
LongText = Annotated[str, Meta(max_length=65_536)]
Seconds = Annotated[float, Meta(ge=-1e12, le=1e12)]


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request body: an unknown field is refused."""


class CompositionBody(Body, frozen=True):
    """What an agent is made of."""

    model: ShortText = ""
    prompt_sha256: Annotated[
        str, Meta(pattern=r"^([0-9a-f]{64})?$", description="64 lower-case hex digits, or nothing")
    ] = ""
    tools: Annotated[list[Name], Meta(max_length=256)] = []


class ActorBody(Body, frozen=True):
    """Who acts."""

    id: ActorId
    kind: Literal["agent", "user", "workload"]
    composition: CompositionBody | None = None
    on_behalf_of: ActorId | None = None


class DeclaredBody(Body, frozen=True):
    """What a session says it is for."""

    text: LongText = ""
    family: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    tools: Annotated[list[Name], Meta(max_length=256)] = []


class ParentBody(Body, frozen=True):
    """The action of another session that started this one."""

    session_id: SessionId
    action_id: ActionId


class OpenBody(Body, frozen=True):
    """`POST /api/v1/sessions`."""

    actor: ActorBody
    declared: DeclaredBody
    session_id: SessionId | None = None
    parent: ParentBody | None = None


class ActionBody(Body, frozen=True):
    """`POST …/actions`."""

    action_id: ActionId
    tool: Name
    server: Name | None = None
    arguments: dict[str, Any] = {}
    t: Seconds | None = None
    durable: bool = False


class EventBody(Body, frozen=True):
    """`POST …/events`."""

    kind: Literal["prompt", "response", "reasoning", "tool_result", "observation"]
    action_id: ActionId | None = None
    role: Annotated[str, Meta(max_length=32)] = ""
    text: LongText = ""
    error: ShortText | None = None
    data: dict[str, Any] = {}
    t: Seconds | None = None


class ScopeBody(Body, frozen=True):
    """`POST …/scope-requests`: verbs and resources that the session asks for, and why."""

    verbs: Annotated[list[Name], Meta(max_length=64)] = []
    resources: Annotated[list[Name], Meta(max_length=64)] = []
    sensitivity: Name | None = None
    boundary: Name | None = None
    reason: ShortText = ""


class AlternativeBody(Body, frozen=True):
    """`POST …/alternatives/{id}`."""

    accepted: bool


class FeedbackBody(Body, frozen=True):
    """`POST …/feedback`."""

    kind: Literal["approve", "reject", "override", "correct", "satisfied", "dissatisfied", "validation"]
    positive: bool
    action_id: ActionId | None = None


class CloseBody(Body, frozen=True):
    """`POST …/close`."""

    outcome: Literal["done", "failed", "aborted"]


class TokenBody(Body, frozen=True):
    """`POST /api/v1/tokens`; `expires` is an RFC 3339 instant, `scopes` null for all that the role opens.

    `certificate` is the thumbprint (base64url of the SHA-256) of the client certificate that the token is bound to.
    """

    role: Literal["agent", "engine", "soc", "admin"]
    actor: ActorId | None = None
    tlp: Literal["clear", "green", "amber", "amber_strict", "red"] = "amber"
    expires: str | None = None
    scopes: Annotated[list[Annotated[str, Meta(max_length=32)]], Meta(min_length=1, max_length=16)] | None = (
        None
    )
    certificate: (
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$", description="43 characters of base64url")] | None
    ) = None


class OpinionBody(Body, frozen=True):
    """`POST /api/v1/patterns/{id}/opinion`.

    `allow`, `mute` and `release` stay here and run out at `expires` (RFC 3339); `confirm`, `dispute` and `withdraw` are
    told to the other members, the last two with a reason from the protocol's lists. A `confirm` may have a label of its
    own, and `values` of which keyed fingerprints go with it; the values themselves are not kept.
    """

    kind: Literal["allow", "mute", "release", "confirm", "dispute", "withdraw"]
    reason: Annotated[str, Meta(min_length=1, max_length=64)] = "false_positive"
    expires: str | UnsetType | None = UNSET
    tlp: Literal["clear", "green", "amber", "amber_strict", "red"] | None = None
    values: Annotated[tuple[Annotated[str, Meta(max_length=1_024)], ...], Meta(max_length=16)] = ()


class FilterBody(Body, frozen=True):
    """`POST /api/v1/filters`."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            pattern=r"^\S(.*\S)?$",
            description="at most 64 characters, no blank at either end",
        ),
    ]
    filter: Annotated[str, Meta(min_length=1, max_length=CHARS_MOST)]


class OverrideBody(Body, frozen=True):
    """`POST /api/v1/overrides`: a decision about a pattern id or a package that need not have come yet.

    A package without a version stands for all of its versions. `expires` is RFC 3339; null: for ever.
    """

    subject: Annotated[str, Meta(min_length=1, max_length=256)]
    kind: Literal["allow", "mute", "release"]
    reason: Annotated[str, Meta(min_length=1, max_length=64)]
    expires: str | UnsetType | None = UNSET


class EffectsBody(Body, frozen=True):
    """`PUT /api/v1/effects`: whether what others say has an effect here; off for so many hours, or until it is on."""

    off: bool
    reason: Annotated[str, Meta(max_length=64)] = ""
    hours: Annotated[int, Meta(ge=1, le=8_760)] | None = None


async def read_json(request: web.Request, kind: type[T], limits: WebLimits) -> T:
    """Read and decode a body of this kind.

    Raises:
        Refusal: too slow, too large, broken off, not JSON, or not of this kind; the field at fault is named.
    """
    if "Content-Type" in request.headers and request.content_type != "application/json":
        raise Refusal(415, "media_type", f"{request.content_type[:64]}: send Content-Type: application/json")
    return decode(await read_body(request, limits), kind, limits)


async def read_body(request: web.Request, limits: WebLimits) -> bytes:
    """The whole body.

    Raises:
        Refusal: too slow, too large, or broken off.
    """
    try:
        if request.content.is_eof():  # all of it came with the head: nothing is waited for
            return await request.read()
        async with asyncio.timeout(limits.body_s):
            return await request.read()
    except TimeoutError:
        raise Refusal(408, "slow_body", f"the body took more than {limits.body_s:g} s") from None
    except (web.RequestPayloadError, ConnectionError):
        # The connection ends with this answer: where the next request would begin is not known.
        closing = {"Connection": "close"}
        detail = "the body is not encoded as its headers say, or broke off"
        raise Refusal(400, "bad_body", detail, headers=closing) from None


def decode(data: bytes, kind: type[T], limits: WebLimits) -> T:
    """Decode JSON into a body of this kind.

    Raises:
        Refusal: not JSON, nested too deeply, not of this kind, or one name twice in one object.
    """
    if deeper_than(limits.json_depth, data):
        raise _too_deep(limits)
    try:
        body = msgspec.json.decode(data, type=kind)
        # msgspec keeps the last of two equal names and says nothing; others would read the first.
        if has_twice(data):
            # Only to say which. Numbers stay text.
            json.loads(data, object_pairs_hook=_check_names, parse_int=str, parse_float=str)
    except msgspec.ValidationError as error:
        raise _misfit(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise Refusal(400, "bad_json", f"the body is not JSON: {str(error)[:_SAID_CHARS]}") from None
    except RecursionError:
        raise _too_deep(limits) from None
    return body


def deeper_than(depth: int, data: bytes) -> bool:
    """Whether arrays and objects of a JSON text are nested deeper than this; brackets inside strings do not count.

    A bounded number of passes, each linear in the text whatever it holds. Text that is no JSON, and brackets that
    do not match, are left to the decoder.
    """
    if data.count(b"{") + data.count(b"[") <= depth:
        return False  # fewer brackets than levels, those inside strings included
    brackets = _outside(data).translate(_AS_SQUARE, _NO_BRACKETS)
    for _ in range(depth):
        brackets = brackets.replace(b"[]", b"")  # the innermost level
    return b"[]" in brackets


def _outside(data: bytes) -> bytes:
    """What of a JSON text stands outside its strings."""
    # Without its escapes, a text is split by its quotes: outside, inside, outside, …
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(unescaped.split(b'"')[::2])


def has_twice(data: bytes) -> bool:
    """Whether an object of a valid JSON text names something twice: then it has more colons than decoded members."""
    members = _members(msgspec.json.decode(data))
    return data.count(b":") != members and _outside(data).count(b":") != members


def _members(value: Any) -> int:  # noqa: ANN401 - any JSON value
    if type(value) is dict:
        return len(value) + sum(_members(one) for one in value.values() if type(one) in _HOLDING)
    return sum(_members(one) for one in value if type(one) in _HOLDING) if type(value) is list else 0


def _too_deep(limits: WebLimits) -> Refusal:
    return Refusal(400, "too_deep", f"the body is nested more than {limits.json_depth} deep")


def _check_names(pairs: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            shown = name[:_FIELD_CHARS]
            raise Refusal(400, "duplicate_field", f"{shown}: given twice in one object", field=shown)
        names.add(name)


def _misfit(message: str, kind: type) -> Refusal:
    where = _WHERE.search(message)
    path = where["path"][:_SAID_CHARS] if where else ""
    text = message[: where.start()] if where else message
    if unknown := _UNKNOWN.search(text):
        name = ".".join(part for part in (path, unknown["name"][:_FIELD_CHARS]) if part)
        return Refusal(400, "unknown_field", f"{name}: no such field", field=name)
    if not path and (missing := re.search(r"missing required field `([^`]*)`", text)):
        path = missing[1]
    if said := _ENUM.search(text):
        allowed = ", ".join(map(str, _allowed(kind, path)))
        return bad_field(path or "body", f"{said['value'][:_FIELD_CHARS]} is none of {allowed}")
    if _PATTERN.search(text) and (words := _described(kind, path)):
        return bad_field(path or "body", f"must be {words}")
    return bad_field(path or "body", text[:_SAID_CHARS])


def _allowed(kind: type, path: str) -> list[object]:
    """The values of the closed lists that may stand at a path."""
    return [
        value
        for one in _types_at(kind, path)
        if isinstance(one, msgspec.inspect.LiteralType)
        for value in one.values
    ]


def _described(kind: type, path: str) -> str:
    """What the pattern of a text at a path says, in words."""
    given = (one for one in _types_at(kind, path) if isinstance(one, msgspec.inspect.Metadata))
    return next((str(one.extra_json_schema["description"]) for one in given if one.extra_json_schema), "")


def _types_at(kind: type, path: str) -> list[msgspec.inspect.Type]:
    """What may stand at a path of a body, as msgspec's errors write it: `runs[...][0].verb`."""
    found = _opened([msgspec.inspect.type_info(kind)])
    for name in filter(None, path.replace("[", ".[").split(".")):
        found = _opened([part for one in found for part in _parts(one, name)])
    return found


def _parts(one: msgspec.inspect.Type, name: str) -> list[msgspec.inspect.Type]:
    if isinstance(one, msgspec.inspect.StructType):
        return [field.type for field in one.fields if field.encode_name == name]
    if isinstance(one, msgspec.inspect.CollectionType):
        return [one.item_type]
    return [one.value_type] if isinstance(one, msgspec.inspect.DictType) else []


def _opened(types: list[msgspec.inspect.Type]) -> list[msgspec.inspect.Type]:
    """These types, and those that they are made of where one is a choice or has words beside it."""
    found: list[msgspec.inspect.Type] = []
    waiting = list(types)
    while waiting:
        one = waiting.pop()
        found.append(one)
        if isinstance(one, msgspec.inspect.UnionType):
            waiting += one.types
        elif isinstance(one, msgspec.inspect.Metadata):
            waiting.append(one.type)
    return found


def instant(text: str | None, field: str) -> int | None:
    """Unix milliseconds of an RFC 3339 instant in a request, None for none.

    Raises:
        Refusal: no such instant.
    """
    if text is None:
        return None
    try:
        return from_text(text)
    except ValueError as error:
        raise bad_field(field, str(error)) from None


def parameters(request: web.Request, *known: str) -> dict[str, str]:
    """The query parameters, each at most once.

    Raises:
        Refusal: an unknown parameter, or one given twice.
    """
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in known:
            raise Refusal(400, "unknown_field", f"{name[:64]}: no such parameter", field=name[:64])
        if name in found:
            raise bad_field(name, "given twice")
        found[name] = value
    return found


def one_of(given: dict[str, str], field: str, known: Collection[str]) -> str | None:
    """The value of a parameter with a closed list, None where it is not asked for.

    Raises:
        Refusal: it is none of the list.
    """
    text = given.get(field)
    if text is not None and text not in known:
        raise bad_field(field, f"{text[:32]!r} is none of {', '.join(known)}")
    return text


def limit_of(given: dict[str, str], limits: WebLimits) -> int:
    """The page size that was asked for, within the bound.

    Raises:
        Refusal: no positive number, or more than the bound.
    """
    text = given.get("limit")
    if text is None:
        return limits.page_rows
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= limits.page_rows_max:
        raise bad_field("limit", f"{text[:16]!r} is no number from 1 to {limits.page_rows_max}")
    return int(text)


def cursor_of(given: dict[str, str], parts: int = 1) -> tuple[str, ...] | None:
    """The parts of an opaque cursor that `cursor_text` made, None for the first page.

    Raises:
        Refusal: no cursor of this route.
    """
    text = given.get("cursor")
    if text is None:
        return None
    try:
        found = tuple(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode().split("\n"))
    except (binascii.Error, UnicodeDecodeError, UnicodeEncodeError, ValueError):
        raise bad_field("cursor", "not a cursor of this route") from None
    if len(found) != parts:
        raise bad_field("cursor", "not a cursor of this route")
    return found


def cursor_text(*parts: object) -> str:
    """An opaque cursor that holds these parts."""
    return base64.urlsafe_b64encode("\n".join(map(str, parts)).encode()).decode().rstrip("=")


def integer(text: str, field: str) -> int:
    """A non-negative integer of at most 18 digits in a cursor or header.

    Raises:
        Refusal: no such integer.
    """
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise bad_field(field, "not a number")
    return int(text)


def pattern_key(request: web.Request) -> str:
    """The id of an indicator in the path.

    Raises:
        Refusal: not 64 lower-case hex digits.
    """
    key = request.match_info["pattern"]
    if not re.fullmatch(r"[0-9a-f]{64}", key):
        raise bad_field("pattern", "not 64 lower-case hex digits")
    return key
