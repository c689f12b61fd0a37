"""The outer boundary: a loadable policy of roles and resources, which says what anybody may do at all.

A node only ever tightens a base decision. Where another engine makes it, that engine sends it along; where none does,
an operator writes it down as a file of this form (`schema` `ioint.boundary/1`):

    {"schema": "ioint.boundary/1", "default": "deny",
     "subjects": [{"type": "user", "id": "bob", "properties": {"role": "admin"}}],
     "resources": [{"type": "record", "id": "r-1", "properties": {"owner": "alice"}}],
     "actions": ["read", "write"],
     "rules": [
       {"effect": "permit", "subject": {"type": "user"}, "action": {"name": "read"}, "resource": {"type": "record"}},
       {"effect": "deny", "resource": {"properties": {"status": {"not": "active"}}}, "action": {"name": ["write"]}},
       {"effect": "permit", "action": {"name": "write"}, "same": [["subject.id", "resource.properties.owner"]]}]}

A rule holds where everything that it names holds; a `deny` that holds outweighs every `permit`; where no rule holds it
is `default`. A list means one of several. What an entity of the file has as properties holds unless the
request says else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from ioint_node.errors import ConfigError

SCHEMA: Final = "ioint.boundary/1"
BYTES: Final = 4 * 1024 * 1024
ENTITIES: Final = 50_000  # subjects, and resources
RULES: Final = 2_000
SEARCHED: Final = 200_000  # rules asked of entities for one page of a search, about
_ROOTS: Final = ("subject", "action", "resource", "context")

Text = Annotated[str, Meta(min_length=1, max_length=1_024)]
OneOf = Text | Annotated[tuple[Text, ...], Meta(min_length=1, max_length=1_024)]
Scalar = bool | int | float | str | None


class Entity(Struct, frozen=True, kw_only=True):
    """A subject or resource: `type` and `id` name it, `properties` say what is known of it."""

    type: Text
    id: Text
    properties: dict[str, Any] = {}


class Not(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"value": "not"}):
    """A condition that holds where the value is none of these, or absent."""

    value: Scalar | tuple[Scalar, ...]


class Named(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule asks of a subject or resource; what it leaves out may be anything."""

    type: OneOf | None = None
    id: OneOf | None = None
    properties: dict[str, Scalar | tuple[Scalar, ...] | Not] = {}


class Doing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule asks of an action."""

    name: OneOf | None = None
    properties: dict[str, Scalar | tuple[Scalar, ...] | Not] = {}


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule; `same` are pairs of paths whose values have to be there and equal."""

    effect: Literal["permit", "deny"]
    subject: Named = Named()
    action: Doing = Doing()
    resource: Named = Named()
    same: tuple[tuple[Text, Text], ...] = ()
    about: str = ""  # for people


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: Literal["ioint.boundary/1"]
    rules: Annotated[tuple[Rule, ...], Meta(max_length=RULES)]
    default: Literal["permit", "deny"] = "deny"
    subjects: Annotated[tuple[Entity, ...], Meta(max_length=ENTITIES)] = ()
    resources: Annotated[tuple[Entity, ...], Meta(max_length=ENTITIES)] = ()
    actions: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May this subject do this to this resource?"""

    subject: Entity
    action: str
    resource: Entity
    action_properties: Mapping[str, Any] = field(default_factory=dict, repr=False)
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """Entities of one page of a search, and the place among all where the next begins; None at the end."""

    entities: tuple[Entity, ...]
    following: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """A checked policy; made by `read_boundary`."""

    rules: tuple[Rule, ...]
    permits: bool
    subjects: Mapping[tuple[str, str], Entity]
    resources: Mapping[tuple[str, str], Entity]
    actions: tuple[str, ...]

    def decide(self, asked: Question) -> bool:
        """Whether the boundary lets this happen."""
        known = Question(
            subject=_known(asked.subject, self.subjects),
            resource=_known(asked.resource, self.resources),
            action=asked.action,
            action_properties=asked.action_properties,
            context=asked.context,
        )
        effects = {rule.effect for rule in self.rules if _holds(rule, known)}
        return "deny" not in effects and ("permit" in effects or self.permits)

    def subjects_of(self, kind: str, asked: Question, begin: int, most: int) -> Found:
        """The known subjects of a type that may do what is asked, from a place among them on."""
        return self._search(_of(kind, self.subjects), lambda one: _replaced(asked, subject=one), begin, most)

    def resources_of(self, kind: str, asked: Question, begin: int, most: int) -> Found:
        """The known resources of a type to which what is asked may be done, from a place among them on."""
        return self._search(
            _of(kind, self.resources), lambda one: _replaced(asked, resource=one), begin, most
        )

    def actions_of(self, asked: Question) -> Iterator[str]:
        """The known actions that the subject may do to the resource."""
        return (name for name in self.actions if self.decide(_replaced(asked, action=name)))

    def _search(
        self, known: Iterator[Entity], question: Callable[[Entity], Question], begin: int, most: int
    ) -> Found:
        """Up to `most` entities; a search that asks many rules ends its page early, so that it holds up nobody."""
        looked = max(1, SEARCHED // max(1, len(self.rules)))
        found: list[Entity] = []
        place = begin
        for place, one in enumerate(islice(known, begin, None), begin):
            if len(found) == most or place - begin == looked:
                return Found(tuple(found), place)
            if self.decide(question(one)):
                found.append(one)
        return Found(tuple(found), None)


def read_boundary(data: bytes) -> Boundary:
    """The policy in a file's bytes.

    Raises:
        ConfigError: it is too large, no JSON, not of this form, or names one entity twice; the place is named.
    """
    if len(data) > BYTES:
        raise ConfigError(f"boundary: {len(data)} bytes, more than {BYTES}: split the work among nodes")
    try:
        found = msgspec.json.decode(data, type=_File)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"boundary: {error}: mend the file (docs/authzen.md has its form: an effect is permit or deny), then "
            "check it with `ioint policy boundary`"
        ) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"boundary: the file is not JSON: {error}") from None
    for place, rule in enumerate(found.rules):
        for path in (path for pair in rule.same for path in pair):
            if path.partition(".")[0] not in _ROOTS:
                raise ConfigError(
                    f"boundary: rules[{place}].same: {path[:64]!r} begins with none of {', '.join(_ROOTS)}"
                )
    named = {name for rule in found.rules for name in _several(rule.action.name)}
    return Boundary(
        rules=found.rules,
        permits=found.default == "permit",
        subjects=_by_name("subjects", found.subjects),
        resources=_by_name("resources", found.resources),
        actions=tuple(sorted({*found.actions, *named})),
    )


def _by_name(section: str, entities: Sequence[Entity]) -> dict[tuple[str, str], Entity]:
    known: dict[tuple[str, str], Entity] = {}
    for place, one in enumerate(entities):
        if (one.type, one.id) in known:
            raise ConfigError(f"boundary: {section}[{place}]: {one.type} {one.id!r} is there twice")
        known[one.type, one.id] = one
    return known


def _known(asked: Entity, known: Mapping[tuple[str, str], Entity]) -> Entity:
    entity = known.get((asked.type, asked.id))
    if entity is None or not entity.properties:
        return asked
    return Entity(type=asked.type, id=asked.id, properties={**entity.properties, **asked.properties})


def _of(kind: str, known: Mapping[tuple[str, str], Entity]) -> Iterator[Entity]:
    return (one for (of, _), one in known.items() if of == kind)


def _replaced(
    asked: Question,
    *,
    subject: Entity | None = None,
    resource: Entity | None = None,
    action: str | None = None,
) -> Question:
    return Question(
        subject=asked.subject if subject is None else subject,
        resource=asked.resource if resource is None else resource,
        action=asked.action if action is None else action,
        action_properties=asked.action_properties,
        context=asked.context,
    )


def _holds(rule: Rule, asked: Question) -> bool:
    return (
        _names(rule.subject, asked.subject)
        and _is_one(rule.action.name, asked.action)
        and _have(rule.action.properties, asked.action_properties)
        and _names(rule.resource, asked.resource)
        and all(_same(left, right, asked) for left, right in rule.same)
    )


def _names(wanted: Named, entity: Entity) -> bool:
    return (
        _is_one(wanted.type, entity.type)
        and _is_one(wanted.id, entity.id)
        and _have(wanted.properties, entity.properties)
    )


def _is_one(wanted: str | tuple[str, ...] | None, value: str) -> bool:
    return wanted is None or value in _several(wanted)


def _several(wanted: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if wanted is None else (wanted,) if isinstance(wanted, str) else wanted


def _have(wanted: Mapping[str, Scalar | tuple[Scalar, ...] | Not], properties: Mapping[str, Any]) -> bool:
    return all(_has(one, name in properties, properties.get(name)) for name, one in wanted.items())


def _has(wanted: Scalar | tuple[Scalar, ...] | Not, there: bool, value: object) -> bool:
    if isinstance(wanted, Not):
        return not (there and _equals(wanted.value, value))
    return there and _equals(wanted, value)


def _equals(wanted: Scalar | tuple[Scalar, ...], value: object) -> bool:
    # In Python 1 == True; in a policy they are two things.
    several = wanted if isinstance(wanted, tuple) else (wanted,)
    return any(isinstance(one, bool) is isinstance(value, bool) and one == value for one in several)


def _same(left: str, right: str, asked: Question) -> bool:
    values = [_at(path, asked) for path in (left, right)]
    return values[0] is not None and _equals(values[0], values[1]) if _is_scalar(values[0]) else False


def _is_scalar(value: object) -> bool:
    return isinstance(value, bool | int | float | str)


def _at(path: str, asked: Question) -> Any:  # noqa: ANN401 - any JSON value
    root, *rest = path.split(".")
    value: Any = {
        "subject": {
            "type": asked.subject.type,
            "id": asked.subject.id,
            "properties": asked.subject.properties,
        },
        "action": {"name": asked.action, "properties": asked.action_properties},
        "resource": {
            "type": asked.resource.type,
            "id": asked.resource.id,
            "properties": asked.resource.properties,
        },
        "context": asked.context,
    }[root]
    for name in rest:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
