from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.errors import RequestError
from ioint_node.signals.subjects import actor, check_subject, key_of, matches, package, pattern

EMAIL = {"format": "email", "email": "mia@example.org"}
ISS_SUB = {"format": "iss_sub", "iss": "https://idp.example.org", "sub": "17"}
DEVICE = {"format": "opaque", "id": "d-1"}


@pytest.mark.parametrize(
    "subject",
    [
        {"format": "account", "uri": "acct:mia@example.org"},
        EMAIL,
        ISS_SUB,
        {"format": "opaque", "id": "1"},
        {"format": "phone_number", "phone_number": "+12065550100"},
        {"format": "did", "url": "did:example:123"},
        {"format": "uri", "uri": "urn:x:1"},
        {"format": "jwt_id", "iss": "https://idp.example.org", "jti": "1"},
        {"format": "saml_assertion_id", "issuer": "https://idp.example.org", "assertion_id": "1"},
        {"format": "ip-addresses", "ip-addresses": ["192.0.2.1", "2001:db8::1"]},
        {"format": "aliases", "identifiers": [EMAIL, ISS_SUB]},
        {"format": "complex", "user": EMAIL, "device": DEVICE},
    ],
)
def test_every_format_of_the_standard_is_taken(subject: dict[str, Any]) -> None:
    assert check_subject(subject) == subject


@pytest.mark.parametrize(
    "subject",
    [
        None,
        "mia",
        {},
        {"email": "mia@example.org"},
        {"format": "phone", "phone_number": "+12065550100"},
        {"format": "email"},
        {"format": "email", "email": ""},
        {"format": "email", "email": 7},
        {"format": "email", "email": "m" * 2_049},
        {**EMAIL, "sub": "17"},
        {"format": "aliases", "identifiers": []},
        {"format": "aliases", "identifiers": [EMAIL] * 17},
        {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [EMAIL]}]},
        {"format": "complex"},
        {"format": "complex", "User": EMAIL},
        {"format": "complex", "user": "mia"},
        {"format": "complex", "user": {"format": "complex", "user": EMAIL}},
        {"format": "ip-addresses", "ip-addresses": [1]},
    ],
)
def test_what_is_no_subject_is_refused_by_name(subject: object) -> None:
    with pytest.raises(RequestError, match=r"^subject: "):
        check_subject(subject)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["format", "complex", "user", "identifiers", "iss"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_comes_is_a_subject_or_refused(value: object) -> None:
    try:
        subject = check_subject(value)
    except RequestError:
        return
    assert matches(subject, subject)


def test_simple_subjects_are_the_same_when_they_are_identical() -> None:
    assert matches(EMAIL, dict(reversed(EMAIL.items())))
    assert not matches(EMAIL, ISS_SUB)
    assert not matches(ISS_SUB, {**ISS_SUB, "sub": "18"})


def test_complex_subjects_are_the_same_when_no_member_differs() -> None:
    whole = {"format": "complex", "user": EMAIL, "device": DEVICE}

    assert matches(whole, {"format": "complex", "user": EMAIL})
    assert matches({"format": "complex", "device": DEVICE}, whole)
    assert not matches(whole, {"format": "complex", "user": ISS_SUB})
    assert not matches(whole, EMAIL)


def test_one_alias_is_enough() -> None:
    assert matches({"format": "aliases", "identifiers": [EMAIL, ISS_SUB]}, ISS_SUB)
    assert not matches({"format": "aliases", "identifiers": [EMAIL]}, ISS_SUB)


def test_a_subject_has_one_text_however_it_is_ordered() -> None:
    assert key_of(ISS_SUB) == key_of(dict(reversed(ISS_SUB.items())))


def test_who_acts_here_is_named_by_this_organisation() -> None:
    found = actor("a 1/b", "https://node.example.org", person=False)

    assert found.named("iss_sub") == {"format": "iss_sub", "iss": "https://node.example.org", "sub": "a 1/b"}
    assert found.named("uri") == {"format": "uri", "uri": "https://node.example.org/agents/a%201%2Fb"}
    assert found.entity == "APPLICATION"
    assert actor("mia", "https://node.example.org", person=True).entity == "USER"


def test_who_has_a_uri_keeps_it() -> None:
    assert actor("spiffe://acme/a-1", "https://node.example.org", person=False).uri == "spiffe://acme/a-1"


def test_packages_and_patterns_have_the_same_name_at_every_member() -> None:
    assert package("pkg:npm/left-pad@1.3.0").named("uri")["uri"] == "pkg:npm/left-pad@1.3.0"
    assert package("pkg:npm/left-pad").named("iss_sub") == {
        "format": "iss_sub",
        "iss": "https://packageurl.org",
        "sub": "pkg:npm/left-pad",
    }
    assert pattern("ab" * 32).named("uri")["uri"] == f"urn:ioint:pattern:{'ab' * 32}"
