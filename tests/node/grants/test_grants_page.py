"""The numbers, names and programs of docs/grants.md are those of the code."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ioint_node.access.budget import (
    BOUNDARY_FACTORS,
    CLASS_UNITS,
    GROUPS,
    SENSITIVITY_FACTORS,
    Budget,
    draw,
    interval_s,
    new_budget,
    spend,
)
from ioint_node.access.grants import LIVE_PER_SESSION, PER_SESSION
from ioint_node.access.passes import (
    SKEW_MS,
    Claims,
    Confirmation,
    Granted,
    check_proof,
    holder_of,
    read_pass,
    read_proof,
    request_hash,
    sign_pass,
)
from ioint_node.scoring.levels import TERMS, Terms
from ioint_node.web.grants import STATUS
from ioint_taxonomy import Step, load_taxonomy

from tests.node.grants.agent import ISSUER, KEY, READ, b64

PAGE = (Path(__file__).parents[3] / "docs" / "grants.md").read_text(encoding="utf-8")
URL = "https://orders.example/v1/orders/7"
HOLDER = Ed25519PrivateKey.from_private_bytes(b"h" * 32)


def cells(first: str) -> list[str]:
    """The rest of the one table row whose first cell is `first`."""
    found = re.findall(rf"(?m)^\| {re.escape(first)} \|(.*)\|$", PAGE)
    assert len(found) == 1, (first, found)
    return [cell.strip() for cell in str(found[0]).split("|")]


def example(name: str) -> str:
    found = re.findall(rf"<!-- example: {name} -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    return str(found[0])


@pytest.fixture(scope="module")
def programs() -> dict[str, Any]:
    """What the two programs of the page define."""
    names: dict[str, Any] = {}
    for name in ("proof", "check"):
        exec(example(name), names)  # noqa: S102 - the page's own programs
    return names


@pytest.fixture
def held() -> str:
    now_s = int(time.time())
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(HOLDER.public_key().public_bytes_raw())}
    granted = Granted(grant="g", gen=1, session="s", intent="research", scope={}, units_left=1.0)
    claims = Claims(
        iss=ISSUER,
        sub="a1",
        jti="g.1",
        iat=now_s,
        exp=now_s + 60,
        cnf=Confirmation(jkt=holder_of(jwk)),
        ioint=granted,
    )
    return sign_pass(claims, KEY)


def test_the_units_of_each_class() -> None:
    assert {name: float(cells(f"`{name}`")[0]) for name in CLASS_UNITS} == CLASS_UNITS


def test_the_factors_of_sensitivity_and_boundary() -> None:
    rows = re.findall(r"(?m)^\| factor \|(.*)\|$", PAGE)
    found = [tuple(float(cell) for cell in row.split("|")) for row in rows]
    assert found == [SENSITIVITY_FACTORS, BOUNDARY_FACTORS]
    taxonomy = load_taxonomy()
    for head, ranks in (("sensitivity", taxonomy.sensitivities), ("boundary", taxonomy.boundaries)):
        named = [name for cell in cells(head) for name in cell.split(", ")]
        assert [ranks[name] for name in named] == sorted(ranks[name] for name in ranks if name != "unknown")


def test_what_the_text_says_of_the_spread() -> None:
    def cost(*walk: str) -> float:
        budget, last = new_budget(TERMS[-1], 0), 0.0
        for resource in walk:
            step = Step(verb="read", resource=resource, sensitivity="internal", boundary="same_principal")
            budget, last = spend(budget, step, load_taxonomy(), 0)
        return last

    assert cost("file", "file") / cost("file") == 0.4
    assert cost("profile", "order", "payment", "file") == 2.5
    assert GROUPS == 8


def test_what_a_low_budget_does_to_the_interval() -> None:
    full = Budget(granted=100.0, left=100.0, renewed_at=0)
    parts = [
        round(100 * interval_s(draw(full, taken), TERMS[-1]) / TERMS[-1].revalidate_s) for taken in (75, 100)
    ]
    assert [cells("a quarter")[0], cells("nothing")[0][:4]] == [f"{parts[0]} % of it", f"{parts[1]} %"]


@pytest.mark.parametrize("terms", TERMS, ids=lambda terms: f"autonomy {terms.autonomy}")
def test_the_terms_of_each_level(terms: Terms) -> None:
    friction, units, life_s, interval, pass_s, withheld = cells(str(terms.autonomy))
    assert friction == terms.friction.value
    assert (float(units), int(life_s)) == (terms.grant_units, terms.grant_s)
    assert (int(interval), int(pass_s)) == (terms.revalidate_s, terms.pass_s)
    assert {name for name in withheld.split(", ") if name} == terms.approve


def test_every_fault_with_its_status() -> None:
    found = re.findall(r"(?m)^\| `(\w+)` \| (\d{3}) \|", PAGE)
    assert {name: int(status) for name, status in found} == {
        fault.value: status for fault, status in STATUS.items()
    }


def test_the_bounds_in_the_text() -> None:
    assert f"at most {LIVE_PER_SESSION} grants" in PAGE
    assert f"{PER_SESSION} in all" in PAGE
    assert f"within {SKEW_MS // 1_000} s" in PAGE


def test_every_claim_of_a_pass_is_in_the_table(held: str) -> None:
    claims = jwt.decode(held, options={"verify_signature": False})
    table = " ".join(re.findall(r"(?m)^\| (`[a-z].*?`) \|", PAGE))
    named = {*claims} - {"cnf", "ioint"} | {"aud"} | {f"ioint.{name}" for name in (*claims["ioint"], "paid")}
    assert all(f"`{name}`" in table for name in (*named, "cnf.jkt"))


def test_the_proof_of_the_page_is_accepted_by_the_node(programs: dict[str, Any], held: str) -> None:
    prove: Callable[..., str] = programs["prove"]
    claims = read_pass(held, KEY, ISSUER)
    for wanted in (READ.to_json(), {"units": 3}, READ.to_json() | {"path": "/srv/é"}):
        proof = read_proof(prove(HOLDER, held, "POST", URL, wanted))
        now = int(time.time() * 1_000)
        check_proof(proof, held, claims, method="POST", url=URL, now=now, request=request_hash(wanted))


def test_the_check_of_the_page_lets_the_holder_in_and_nobody_else(
    programs: dict[str, Any], held: str
) -> None:
    holder: Callable[..., dict[str, Any]] = programs["holder"]
    prove: Callable[..., str] = programs["prove"]
    jwks = KEY.jwks()
    claims = holder(held, prove(HOLDER, held, "GET", URL), jwks, ISSUER, "GET", URL)
    assert claims["ioint"]["intent"] == "research"
    thief = Ed25519PrivateKey.from_private_bytes(b"t" * 32)
    for proof, issuer, method in (
        (prove(thief, held, "GET", URL), ISSUER, "GET"),
        (prove(HOLDER, "another", "GET", URL), ISSUER, "GET"),
        (prove(HOLDER, held, "GET", URL), ISSUER, "POST"),
        (prove(HOLDER, held, "GET", URL), "urn:ioint:contoso", "GET"),
    ):
        with pytest.raises((jwt.PyJWTError, ValueError)):
            holder(held, proof, jwks, issuer, method, URL)
