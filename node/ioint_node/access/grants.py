"""Grants: scope, units and time, lent to one key for one session; values in, values out.

A grant is narrower than the session that it belongs to in every respect, and never outlives the reasons for it: it is
read together with how the session stands now. It falls silent where the session has declared another task, ends when
the session closes or its actor is suspended, and gives no more than the present trust would give.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import msgspec
from ioint_taxonomy import Envelope, Step, Taxonomy

from ioint_node.access.budget import (
    CHEAPEST_UNITS,
    DECIMALS,
    Budget,
    Groups,
    capped,
    draw,
    due,
    due_at,
    interval_s,
    merged,
    spend,
)
from ioint_node.access.passes import Claims, Confirmation, Fault, Granted, PassError
from ioint_node.errors import RequestError, TooLargeError, unknown_name
from ioint_node.scoring.concrete import (
    NAMES,
    NOTHING_NAMED,
    TOOLS,
    Concrete,
    concrete_departures,
    concrete_of,
)
from ioint_node.scoring.levels import Terms
from ioint_node.scoring.values import Declaration

LIVE_PER_SESSION: Final = 16
PER_SESSION: Final = 256  # ended ones included, since a person last looked at its actor
FIRST_GENERATION: Final = 1
WITHOUT_PERSON: Final = 2.0  # times the level's units, all that a session's grants spend without a person
SCOPE_BYTES: Final = 4_096  # as JSON: a pass has to fit into a header
LEAST_UNITS: Final = 1.0  # of a grant
LEAST_S: Final = 1
_KINDS: Final = {"tool": "tools", "host": "hosts", "path": "paths", "table": "tables"}
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]")


class State(StrEnum):
    """Where a grant is: in force, in force with nothing left to spend, or over."""

    LIVE = "live"
    SPENT = "spent"
    REVOKED = "revoked"
    EXPIRED = "expired"


IN_FORCE: Final = frozenset({State.LIVE, State.SPENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One access that is paid for or asked about: a step, and what is touched by name, where that is known."""

    verb: str
    resource: str
    sensitivity: str
    boundary: str
    tool: str | None = None
    host: str | None = None
    path: str | None = None
    table: str | None = None

    @property
    def step(self) -> Step:
        """The step without its names."""
        return Step(
            verb=self.verb, resource=self.resource, sensitivity=self.sensitivity, boundary=self.boundary
        )

    def to_json(self) -> dict[str, str]:
        """What was said of it, and nothing else."""
        fields = ("verb", "resource", "sensitivity", "boundary", *_KINDS)
        return {name: value for name in fields if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a grant reaches: an envelope, and the names that narrow it; a kind without names is not narrowed."""

    envelope: Envelope
    names: Concrete = NOTHING_NAMED

    def to_json(self) -> dict[str, Any]:
        """The scope as JSON; kinds without names are left out."""
        names = {kind: list(value) for kind in _KINDS.values() if (value := getattr(self.names, kind))}
        return self.envelope.to_json() | names

    @staticmethod
    def from_json(value: dict[str, Any]) -> Scope:
        """The scope that `to_json` wrote; raises KeyError or TypeError on another shape."""
        names = {kind: tuple(value.get(kind, ())) for kind in _KINDS.values()}
        return Scope(envelope=Envelope.from_json(value), names=Concrete(**names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an agent asks to be granted; None: as much as there is."""

    verbs: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    max_sensitivity: str | None = None
    max_boundary: str | None = None
    tools: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    units: float | None = None
    ttl_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a session stands now, in what bears on its grants; times in Unix milliseconds.

    `intent` is the family that it declares, `renewed_at` when its actor was last looked at again, `whole_at` when last
    by a person (or it was opened), `until` when its declaration has run out, `share` how much of a full budget its
    last renewal gave (0..1), `spent` whether nothing of that is left.
    """

    actor: str
    open: bool
    intent: str
    envelope: Envelope
    terms: Terms
    renewed_at: int
    whole_at: int
    until: int
    share: float = 1.0
    spent: bool = False
    names: Concrete = NOTHING_NAMED


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Units that the grants of a session hold or have spent: since its actor was last looked at, and by a person."""

    renewed: float = 0.0
    whole: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A grant as it is kept; `key` is the thumbprint of its holder's key, times are Unix milliseconds."""

    id: str
    actor: str
    session_id: str
    key: str
    intent: str
    scope: Scope
    budget: Budget
    generation: int
    interval_s: int
    revalidate_at: int
    issued: int
    expires: int
    audience: str | None = None
    state: State = State.LIVE
    reason: str = field(default="")


def scope_of(asked: Asked, standing: Standing, taxonomy: Taxonomy) -> Scope:
    """The scope that is asked for, when it lies inside the session's envelope and inside what trust allows.

    Raises:
        RequestError: a name that the taxonomy does not know, or that names nothing.
        TooLargeError: too many names for a pass.
        PassError: OUT_OF_SCOPE or NEEDS_PERSON, with the field.
    """
    held = standing.envelope
    allowed = {verb for verb in held.verbs if taxonomy.verbs.get(verb) not in standing.terms.approve}
    verbs = frozenset(allowed if asked.verbs is None else asked.verbs)
    resources = held.resources if asked.resources is None else frozenset(asked.resources)
    _check_known("verbs", verbs, taxonomy.verbs)
    _check_known("resources", resources, taxonomy.resources)
    _check_inside("verbs", verbs, held.verbs)
    _check_inside("resources", resources, held.resources)
    if beyond := sorted(verbs - allowed):
        detail = f"at this level of trust a person approves {', '.join(beyond)} each time"
        raise PassError(Fault.NEEDS_PERSON, f"scope.verbs: {detail}", field="scope.verbs")
    if not verbs or not resources:
        empty = "resources" if verbs else "verbs"
        raise PassError(
            Fault.OUT_OF_SCOPE, f"scope.{empty}: nothing is left to grant", field=f"scope.{empty}"
        )
    sensitivity = asked.max_sensitivity or held.max_sensitivity
    boundary = asked.max_boundary or held.max_boundary
    _check_known("max_sensitivity", {sensitivity}, taxonomy.sensitivities)
    _check_known("max_boundary", {boundary}, taxonomy.boundaries)
    if taxonomy.sensitivity_rank(sensitivity) > taxonomy.sensitivity_rank(held.max_sensitivity):
        _refuse("max_sensitivity", sensitivity)
    if taxonomy.boundary_rank(boundary) > taxonomy.boundary_rank(held.max_boundary):
        _refuse("max_boundary", boundary)
    envelope = Envelope(verbs=verbs, resources=resources, max_sensitivity=sensitivity, max_boundary=boundary)
    scope = Scope(envelope=envelope, names=_names_of(asked, standing.names, envelope))
    if (size := len(msgspec.json.encode(scope.to_json()))) > SCOPE_BYTES:
        raise TooLargeError(f"scope: {size} bytes as JSON, more than {SCOPE_BYTES}: name less")
    return scope


def new_grant(
    asked: Asked,
    standing: Standing,
    scope: Scope,
    *,
    id: str,  # noqa: A002 - the field's name
    session_id: str,
    key: str,
    audience: str | None,
    used: Used,
    groups: Groups,
    now: int,
) -> Grant:
    """The grant that trust gives, which may be less than was asked for.

    Args:
        asked: units and time that are wanted.
        standing: of the session.
        scope: from `scope_of`.
        id: of the grant.
        session_id: whose it is.
        key: thumbprint of the holder's key.
        audience: whom its passes are for, None for any resource.
        used: units that other grants of the session hold or have spent.
        groups: resource groups that they have touched.
        now: Unix milliseconds.

    Raises:
        RequestError: units or time that are no amount.
        PassError: SESSION_CLOSED, REVALIDATE or UNITS_SPENT.
    """
    terms = standing.terms
    _check_standing(standing, now)
    if asked.units is not None and not LEAST_UNITS <= asked.units < float("inf"):
        raise RequestError(f"units: must be {LEAST_UNITS:g} or more")
    if asked.ttl_s is not None and asked.ttl_s < LEAST_S:
        raise RequestError(f"ttl_s: must be {LEAST_S} or more")
    free = round(
        min(
            terms.grant_units * standing.share - used.renewed,
            terms.grant_units * WITHOUT_PERSON - used.whole,
        ),
        DECIMALS,
    )
    if standing.spent or free < LEAST_UNITS:
        detail = "this session's units are spent or held by its other grants: declare again, or ask a person"
        raise PassError(Fault.UNITS_SPENT, detail)
    units = round(min(free, asked.units or free), DECIMALS)
    budget = Budget(granted=units, left=units, renewed_at=standing.renewed_at, groups=groups)
    if due(budget, terms, now):
        raise _revalidate()
    life_s = min(terms.grant_s, asked.ttl_s or terms.grant_s)
    return Grant(
        id=id,
        actor=standing.actor,
        session_id=session_id,
        key=key,
        intent=standing.intent,
        scope=scope,
        audience=audience,
        budget=budget,
        generation=FIRST_GENERATION,
        interval_s=interval_s(budget, terms),
        revalidate_at=due_at(budget, terms),
        issued=now,
        expires=min(now + life_s * 1_000, standing.until),
    )


def check_in_force(grant: Grant, standing: Standing, now: int) -> None:
    """Check that a grant is still good for the task that its session now performs.

    Raises:
        PassError: GRANT_REVOKED, GRANT_ENDED, SESSION_CLOSED or OTHER_TASK.
    """
    if grant.state is State.REVOKED:
        raise PassError(Fault.GRANT_REVOKED, f"the grant was revoked: {grant.reason}")
    _check_open(standing)
    if grant.state is State.EXPIRED:
        raise PassError(Fault.GRANT_ENDED, f"the grant has ended: {grant.reason}")
    if now >= _expires(grant, standing.terms):
        raise PassError(Fault.GRANT_ENDED, "the grant has run out: ask for another")
    if grant.intent != standing.intent:
        detail = f"was granted for {grant.intent}, and the session now declares {standing.intent}"
        raise PassError(Fault.OTHER_TASK, detail)


def check_access(scope: Scope, standing: Standing, access: Access, taxonomy: Taxonomy) -> None:
    """Check that an access lies in a grant's scope, and in what its session may still do.

    Raises:
        RequestError: a host that is none.
        PassError: OUT_OF_SCOPE, with the respects in which it leaves.
    """
    left = [
        *scope.envelope.departures(access.step, taxonomy),
        *_left_names(scope.names, access),
    ] or [f"{name} of the session" for name in standing.envelope.departures(access.step, taxonomy)]
    if left:
        raise PassError(Fault.OUT_OF_SCOPE, f"outside the grant: {', '.join(left)}")


def charge(
    grant: Grant,
    standing: Standing,
    wanted: Access | int,
    *,
    others: Iterable[Groups],
    taxonomy: Taxonomy,
    now: int,
) -> tuple[Grant, float]:
    """The grant after a spend, with its next generation, and the units it cost.

    `wanted` is an access, or a number of units for nothing in particular, 0 for a fresh pass alone. `others` are the
    resource groups that other grants of the session have touched.

    Raises:
        RequestError: a host that is none.
        PassError: what `check_in_force` and `check_access` raise, REVALIDATE, NEEDS_PERSON or UNITS_SPENT.
    """
    terms = standing.terms
    check_in_force(grant, standing, now)
    budget = replace(
        capped(grant.budget, terms.grant_units),
        renewed_at=max(grant.budget.renewed_at, standing.renewed_at),
        groups=merged(grant.budget.groups, *others),
    )
    _check_standing(standing, now)
    if due(budget, terms, now):
        raise _revalidate()
    if isinstance(wanted, Access):
        check_access(grant.scope, standing, wanted, taxonomy)
        if taxonomy.verbs.get(wanted.verb) in terms.approve:
            detail = f"at this level of trust a person approves {wanted.verb} each time"
            raise PassError(Fault.NEEDS_PERSON, detail)
        after, cost = spend(budget, wanted.step, taxonomy, now)
    else:
        after, cost = draw(budget, wanted), float(wanted)
    if cost > budget.left:
        detail = f"costs {cost:g} units, {budget.left:g} are left"
        raise PassError(Fault.UNITS_SPENT, f"{detail}: declare again for another grant, or ask a person")
    return (
        replace(
            grant,
            budget=after,
            generation=grant.generation + 1,
            interval_s=interval_s(after, terms),
            revalidate_at=due_at(after, terms),
            expires=_expires(grant, terms),
            state=State.LIVE if after.left >= CHEAPEST_UNITS else State.SPENT,
        ),
        cost,
    )


def claims_of(grant: Grant, terms: Terms, issuer: str, now: int, *, paid: Access | None = None) -> Claims:
    """The claims of a grant's newest pass; `paid` is the access that it was just spent on."""
    return Claims(
        iss=issuer,
        sub=grant.actor,
        jti=f"{grant.id}.{grant.generation}",
        iat=now // 1_000,
        exp=min(now + terms.pass_s * 1_000, grant.expires) // 1_000,
        aud=grant.audience,
        cnf=Confirmation(jkt=grant.key),
        ioint=Granted(
            grant=grant.id,
            gen=grant.generation,
            session=grant.session_id,
            intent=grant.intent,
            scope=grant.scope.to_json(),
            units_left=grant.budget.left,
            paid=None if paid is None else paid.to_json(),
        ),
    )


def _names_of(asked: Asked, held: Concrete, envelope: Envelope) -> Concrete:
    named: dict[str, tuple[str, ...]] = {}
    for kind, kinds in _KINDS.items():
        names: tuple[str, ...] = getattr(asked, kinds)
        most = TOOLS if kind == "tool" else NAMES
        if len(names) > most:
            raise RequestError(f"scope.{kinds}: {len(names)} names, more than {most}")
        kept = tuple(dict.fromkeys(_plain(kind, name, envelope) for name in names))
        for name in kept:
            if _leaves(held, kind, name):
                _refuse(kinds, name)
        # What the session is held to by name, its grants are held to as well.
        named[kinds] = kept or getattr(held, kinds)
    return Concrete(**named)


def _plain(kind: str, name: str, envelope: Envelope) -> str:
    """A name in the form in which names are compared."""
    if kind == "tool":
        return name
    kinds = _KINDS[kind]
    only = {other: (name,) if other == kinds else () for other in _KINDS.values()}
    concrete = concrete_of(
        Declaration(), envelope, hosts=only["hosts"], paths=only["paths"], tables=only["tables"]
    )
    found: tuple[str, ...] = getattr(concrete, kinds)
    if not found or (kind == "path" and not _is_absolute(found[0])):
        raise RequestError(f"scope.{kinds}: {name[:64]!r} limits nothing that could be checked")
    return found[0]


def _left_names(names: Concrete, access: Access) -> tuple[str, ...]:
    """Where an access leaves the names of a scope; one that names none of what is limited leaves them too."""
    limited = [kind for kind, kinds in _KINDS.items() if getattr(names, kinds)]
    if not limited:
        return ()
    given = {kind: value for kind in limited if (value := getattr(access, kind)) is not None}
    if not given:
        return (f"{' or '.join(limited)} not named",)
    return tuple(left for kind, value in given.items() for left in _leaves(names, kind, value))


def _leaves(names: Concrete, kind: str, name: str) -> tuple[str, ...]:
    kinds = _KINDS[kind]
    known: tuple[str, ...] = getattr(names, kinds)
    if not known:
        return ()
    if kind == "tool":
        return () if name in known else (f"tool {name[:64]}",)
    if kind == "host" and not _HOST.fullmatch(name.removeprefix("*.")):
        raise RequestError("host: must be the name or the address of a host, without scheme, port and path")
    if kind == "path" and not _is_absolute(name):
        return ("path that is not absolute",)
    return concrete_departures(Concrete(**{kinds: known}), "", None, {kind: name})


def _is_absolute(path: str) -> bool:
    return path.startswith(("/", "~/")) and "://" not in path


def _expires(grant: Grant, terms: Terms) -> int:
    """When a grant runs out: as it was granted, or as the present trust would have it if that is sooner."""
    return min(grant.expires, grant.issued + terms.grant_s * 1_000)


def _check_standing(standing: Standing, now: int) -> None:
    _check_open(standing)
    if now >= standing.until:
        raise _revalidate()


def _check_open(standing: Standing) -> None:
    if not standing.open:
        raise PassError(Fault.SESSION_CLOSED, "the session is closed")


def _revalidate() -> PassError:
    return PassError(
        Fault.REVALIDATE, "the actor has to be looked at again: declare the session again, then repeat this"
    )


def _check_known(name: str, given: Iterable[str], known: Iterable[str]) -> None:
    for one in sorted(set(given) - set(known)):
        raise unknown_name(f"scope.{name}", one, known, name)


def _check_inside(name: str, given: frozenset[str], held: frozenset[str]) -> None:
    for one in sorted(given - held):
        _refuse(name, one)


def _refuse(name: str, value: str) -> None:
    raise PassError(
        Fault.OUT_OF_SCOPE,
        f"scope.{name}: {value[:64]} is outside the session's envelope",
        field=f"scope.{name}",
    )
