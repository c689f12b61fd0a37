"""What may be granted: inside the session, inside what trust allows, and never more than either gives now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from ioint_node.access.grants import (
    Access,
    Asked,
    Grant,
    Scope,
    Standing,
    State,
    Used,
    charge,
    check_access,
    check_in_force,
    claims_of,
    new_grant,
    scope_of,
)
from ioint_node.access.passes import Fault, PassError
from ioint_node.errors import RequestError, TooLargeError
from ioint_node.scoring.concrete import Concrete
from ioint_node.scoring.levels import TERMS, Friction, Terms, terms_of
from ioint_taxonomy import load_taxonomy

from tests.node.grants.agent import FAMILY, NOW, READ, SEND, TRUSTED

TAXONOMY = load_taxonomy()
HOUR_MS = 3_600_000
UNUSED = Used()


def standing_at(lower: float = TRUSTED, **changed: Any) -> Standing:
    terms = terms_of(lower)
    standing = Standing(
        actor="a1",
        open=True,
        intent=FAMILY,
        envelope=TAXONOMY.families[FAMILY].envelope,
        terms=terms,
        renewed_at=NOW,
        whole_at=NOW,
        until=NOW + terms.session_s * 1_000,
    )
    return replace(standing, **changed)


def granted(standing: Standing | None = None, *, used: Used = UNUSED, now: int = NOW, **asked: Any) -> Grant:
    standing = standing or standing_at()
    wanted = Asked(**asked)
    return new_grant(
        wanted,
        standing,
        scope_of(wanted, standing, TAXONOMY),
        id="g1",
        session_id="s1",
        key="thumbprint",
        audience=None,
        used=used,
        groups=(),
        now=now,
    )


def spent(
    grant: Grant, standing: Standing | None = None, wanted: Access | int = READ, *, now: int = NOW
) -> tuple[Grant, float]:
    return charge(grant, standing or standing_at(), wanted, others=(), taxonomy=TAXONOMY, now=now)


def refused(work: Callable[[], object]) -> PassError:
    with pytest.raises(PassError) as caught:
        work()
    return caught.value


def test_what_is_left_out_is_as_the_session_has_it() -> None:
    assert granted().scope == Scope(envelope=TAXONOMY.families[FAMILY].envelope)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"verbs": ("read", "deploy")}, "scope.verbs"),
        ({"resources": ("secret",)}, "scope.resources"),
        ({"max_sensitivity": "restricted"}, "scope.max_sensitivity"),
        ({"max_boundary": "public"}, "scope.max_boundary"),
        ({"verbs": ()}, "scope.verbs"),
        ({"resources": ()}, "scope.resources"),
    ],
)
def test_a_scope_outside_the_session_is_refused_with_the_departure(asked: dict[str, Any], field: str) -> None:
    error = refused(lambda: granted(**asked))
    assert (error.fault, error.field) == (Fault.OUT_OF_SCOPE, field)
    assert str(error).startswith(f"{field}:")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"verbs": ("frobnicate",)}, "scope.verbs"),
        ({"resources": ("nowhere",)}, "scope.resources"),
        ({"max_sensitivity": "cosmic"}, "scope.max_sensitivity"),
        ({"max_boundary": "moon"}, "scope.max_boundary"),
        ({"units": 0.5}, "units"),
        ({"units": float("nan")}, "units"),
        ({"units": float("inf")}, "units"),
        ({"ttl_s": 0}, "ttl_s"),
        ({"hosts": ("x" * 300,)}, "scope.hosts"),
        ({"paths": ("relative/path",)}, "scope.paths"),
        ({"paths": ("/",)}, "scope.paths"),
        ({"hosts": tuple(f"h{n}.example" for n in range(65))}, "scope.hosts"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError, match=rf"^{field}:"):
        granted(**asked)


@pytest.mark.parametrize("terms", TERMS, ids=lambda terms: f"autonomy {terms.autonomy}")
def test_every_level_bounds_units_time_interval_and_pass(terms: Terms) -> None:
    standing = standing_at(terms=terms, until=NOW + terms.session_s * 1_000)
    grant = granted(standing, units=10_000.0, ttl_s=86_400)
    claims = claims_of(grant, terms, "urn:ioint:x", NOW)
    assert grant.budget.left == terms.grant_units
    assert grant.expires - NOW == terms.grant_s * 1_000
    assert grant.interval_s == terms.revalidate_s
    assert claims.exp - claims.iat == terms.pass_s


def test_each_level_gives_more_than_the_one_below() -> None:
    grants = [granted(standing_at(terms=terms, until=NOW + 24 * HOUR_MS)) for terms in TERMS]
    for less, more in pairwise(grants):
        assert less.budget.left < more.budget.left
        assert less.expires < more.expires
        assert less.interval_s < more.interval_s


@pytest.mark.parametrize(
    ("lower", "friction", "missing"),
    [
        (
            0.2,
            Friction.STRICT,
            {"create", "update", "delete", "send", "escalate", "authenticate", "pay", "order"},
        ),
        (
            0.4,
            Friction.STRICT,
            {"create", "update", "delete", "send", "escalate", "authenticate", "pay", "order"},
        ),
        (0.6, Friction.STANDARD, {"authenticate", "pay", "order"}),
        (0.8, Friction.TRUSTED, set()),
        (0.95, Friction.TRUSTED, set()),
    ],
)
def test_what_a_person_approves_each_time_is_not_granted(
    lower: float, friction: Friction, missing: set[str]
) -> None:
    standing = standing_at(lower)
    assert standing.terms.friction is friction
    assert standing.envelope.verbs - granted(standing).scope.envelope.verbs == missing
    for verb in missing:
        error = refused(partial(granted, standing, verbs=("read", verb)))
        assert (error.fault, error.field) == (Fault.NEEDS_PERSON, "scope.verbs")
        assert verb in str(error)


def test_less_than_trust_gives_may_be_asked_for() -> None:
    grant = granted(units=3.0, ttl_s=20)
    assert (grant.budget.left, grant.expires) == (3.0, NOW + 20_000)


def test_what_other_grants_hold_is_not_given_twice() -> None:
    most = standing_at().terms.grant_units
    assert granted(used=Used(renewed=most - 4.0)).budget.left == 4.0
    assert refused(lambda: granted(used=Used(renewed=most))).fault is Fault.UNITS_SPENT


def test_without_a_person_a_session_is_granted_twice_its_units_and_no_more() -> None:
    most = 2 * standing_at().terms.grant_units
    assert granted(used=Used(whole=most - 4.0)).budget.left == 4.0
    assert refused(lambda: granted(used=Used(whole=most))).fault is Fault.UNITS_SPENT


def test_a_scope_that_fits_no_header_is_refused() -> None:
    with pytest.raises(TooLargeError, match="scope"):
        granted(tools=tuple(f"tool-{n}-{'x' * 40}" for n in range(200)))


def test_a_smaller_renewal_gives_a_smaller_grant_and_a_spent_budget_none() -> None:
    assert granted(standing_at(share=0.25)).budget.left == standing_at().terms.grant_units / 4
    assert refused(lambda: granted(standing_at(spent=True))).fault is Fault.UNITS_SPENT


def test_a_grant_is_not_issued_while_the_actor_has_to_be_looked_at_again() -> None:
    standing = standing_at()
    over = NOW + standing.terms.revalidate_s * 1_000
    assert refused(lambda: granted(standing, now=over)).fault is Fault.REVALIDATE
    assert granted(replace(standing, renewed_at=over), now=over).revalidate_at > over


def test_a_grant_does_not_outlive_the_declaration() -> None:
    assert granted(standing_at(until=NOW + 7_000)).expires == NOW + 7_000
    assert refused(lambda: granted(standing_at(until=NOW))).fault is Fault.REVALIDATE
    assert refused(lambda: granted(standing_at(open=False))).fault is Fault.SESSION_CLOSED


def test_a_spend_takes_its_cost_and_makes_the_next_generation() -> None:
    grant, cost = spent(granted(units=10.0))
    assert cost == 1.2
    assert (grant.budget.left, grant.generation, grant.state) == (8.8, 2, State.LIVE)


def test_spreading_over_groups_costs_more_than_staying() -> None:
    walk = (READ, replace(READ, resource="email"), replace(READ, resource="payment"))
    grant = granted()
    costs = []
    for access in walk:
        grant, cost = spent(grant, wanted=access)
        costs.append(cost)
    stays = spent(spent(granted())[0])[1]
    assert costs == sorted(costs)
    assert stays < costs[0] < costs[1] < costs[2]


def test_what_other_grants_of_the_session_touched_counts_too() -> None:
    others = ((("finance", NOW), ("secrets", NOW)),)
    _, cost = charge(granted(), standing_at(), READ, others=others, taxonomy=TAXONOMY, now=NOW)
    assert cost == 2.4


def test_units_that_run_low_shorten_the_interval_and_then_stop_the_grant() -> None:
    grant = granted(units=10.0)
    intervals = []
    for _ in range(4):
        grant, _ = spent(grant, wanted=2)
        intervals.append(grant.interval_s)
    assert intervals == sorted(intervals, reverse=True)
    assert intervals[0] == standing_at().terms.revalidate_s > intervals[-1]
    grant, _ = spent(grant, wanted=2)
    assert (grant.budget.left, grant.state) == (0.0, State.SPENT)
    assert refused(lambda: spent(grant)).fault is Fault.UNITS_SPENT


def test_an_access_that_is_not_covered_is_refused_and_costs_nothing() -> None:
    grant = granted(units=1.0)
    error = refused(lambda: spent(grant))
    assert error.fault is Fault.UNITS_SPENT
    assert "1.2 units, 1 are left" in str(error)
    assert spent(grant, wanted=1)[0].budget.left == 0.0


def test_a_spend_of_nothing_gives_only_a_fresh_pass() -> None:
    grant, cost = spent(granted(units=5.0), wanted=0)
    assert (cost, grant.budget.left, grant.generation) == (0.0, 5.0, 2)


def test_the_interval_is_over_until_the_session_is_declared_again() -> None:
    grant = granted(ttl_s=7_200)
    late = grant.revalidate_at
    standing = standing_at(until=late + HOUR_MS)
    grant = replace(grant, expires=late + HOUR_MS, issued=late - 1_000)
    assert refused(lambda: spent(grant, standing, now=late)).fault is Fault.REVALIDATE
    renewed, _ = spent(grant, replace(standing, renewed_at=late), now=late)
    assert renewed.revalidate_at == late + standing.terms.revalidate_s * 1_000


@pytest.mark.parametrize(
    ("standing", "fault"),
    [
        (standing_at(open=False), Fault.SESSION_CLOSED),
        (standing_at(intent="research"), Fault.OTHER_TASK),
    ],
)
def test_a_grant_is_silent_outside_its_session_and_its_task(standing: Standing, fault: Fault) -> None:
    grant = granted()
    assert refused(lambda: check_in_force(grant, standing, NOW)).fault is fault
    assert refused(lambda: spent(grant, standing)).fault is fault
    check_in_force(grant, standing_at(), NOW)


def test_the_same_task_with_a_narrower_envelope_narrows_the_grant() -> None:
    narrow = standing_at(envelope=TAXONOMY.families["research"].envelope)
    error = refused(lambda: spent(granted(), narrow, SEND))
    assert error.fault is Fault.OUT_OF_SCOPE
    assert "verb of the session" in str(error)


def test_a_grant_that_is_over_says_why() -> None:
    revoked = replace(granted(), state=State.REVOKED, reason="a pass was used again")
    assert "a pass was used again" in str(refused(lambda: spent(revoked)))
    assert refused(lambda: spent(revoked)).fault is Fault.GRANT_REVOKED
    expired = replace(granted(), state=State.EXPIRED)
    assert refused(lambda: spent(expired)).fault is Fault.GRANT_ENDED
    grant = granted()
    assert refused(lambda: spent(grant, now=grant.expires)).fault is Fault.GRANT_ENDED


def test_falling_trust_takes_units_time_and_verbs_from_a_grant_that_is_out() -> None:
    grant = granted()
    low = standing_at(0.2)
    after, _ = spent(grant, low)
    assert after.budget.left == low.terms.grant_units - 1.2
    assert after.expires == NOW + low.terms.grant_s * 1_000
    assert refused(lambda: spent(grant, low, SEND)).fault is Fault.NEEDS_PERSON
    late = NOW + low.terms.grant_s * 1_000
    assert refused(lambda: spent(grant, replace(low, renewed_at=late), now=late)).fault is Fault.GRANT_ENDED


@pytest.mark.parametrize(
    ("access", "left"),
    [
        (replace(READ, verb="export"), "verb"),
        (replace(READ, resource="secret"), "resource"),
        (replace(READ, sensitivity="restricted"), "sensitivity"),
        (replace(READ, boundary="public"), "boundary"),
    ],
)
def test_an_access_outside_the_scope_is_refused_with_what_leaves(access: Access, left: str) -> None:
    error = refused(lambda: spent(granted(), wanted=access))
    assert error.fault is Fault.OUT_OF_SCOPE
    assert left in str(error)


NAMED: dict[str, Any] = {
    "tools": ("search_orders",),
    "hosts": ("api.example.org", "*.shop.example"),
    "paths": ("/srv/orders",),
    "tables": ("shop.orders",),
}


@pytest.mark.parametrize(
    "names",
    [
        {"tool": "search_orders"},
        {"host": "api.example.org"},
        {"host": "API.example.org."},
        {"host": "eu.shop.example"},
        {"path": "/srv/orders"},
        {"path": "/srv/orders/2026/a.json"},
        {"table": "orders"},
        {"tool": "search_orders", "host": "api.example.org", "table": "shop.orders"},
    ],
)
def test_an_access_to_what_is_named_is_in_scope(names: dict[str, str]) -> None:
    check_access(granted(**NAMED).scope, standing_at(), replace(READ, **names), TAXONOMY)


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"tool": "delete_orders"},
        {"host": "evil.example"},
        {"host": "shop.example.evil.net"},
        {"host": "xshop.example"},
        {"path": "/srv/orders-2"},
        {"path": "/srv/orders/../secrets"},
        {"path": "/srv/orders/%2e%2e/secrets"},
        {"path": "srv/orders"},
        {"path": "https://api.example.org/srv/orders"},
        {"path": "file:///srv/orders"},
        {"path": "/srv/orders\0/../x"},
        {"table": "customers"},
        {"tool": "search_orders", "host": "evil.example"},
    ],
)
def test_an_access_beside_what_is_named_is_out_of_scope(names: dict[str, str]) -> None:
    access = replace(READ, **names)
    check = lambda: check_access(granted(**NAMED).scope, standing_at(), access, TAXONOMY)  # noqa: E731
    assert refused(check).fault is Fault.OUT_OF_SCOPE


@pytest.mark.parametrize(
    "host", ["http://api.example.org", "/api.example.org", "a b", "x@api.example.org", ""]
)
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(RequestError, match=r"^host:"):
        check_access(granted(**NAMED).scope, standing_at(), replace(READ, host=host), TAXONOMY)


def test_a_grant_names_nothing_that_its_session_does_not() -> None:
    held = standing_at(names=Concrete(hosts=("*.example.org",), paths=("/srv",), tools=("search_orders",)))
    grant = granted(held, hosts=("api.example.org",), paths=("/srv/orders/",))
    assert grant.scope.names == Concrete(
        hosts=("api.example.org",), paths=("/srv/orders",), tools=("search_orders",)
    )
    asked: tuple[dict[str, Any], ...] = (
        {"hosts": ("evil.example",)},
        {"paths": ("/etc",)},
        {"tools": ("send_email",)},
    )
    for beyond in asked:
        error = refused(partial(granted, held, **beyond))
        assert (error.fault, error.field) == (Fault.OUT_OF_SCOPE, f"scope.{next(iter(beyond))}")


def test_a_scope_is_the_same_after_the_store() -> None:
    scope = granted(verbs=("read",), **NAMED).scope
    assert Scope.from_json(scope.to_json()) == scope
