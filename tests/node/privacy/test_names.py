"""Only names that are known to be public leave, and no more of a version than is needed."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.privacy.names import generalised, name_of, parse_names, why_not_public

LEFT_PAD = "pkg:npm/left-pad"
PRIVATE = "pkg:npm/%40acme-internal/billing"


def refusal(
    subject: str,
    *,
    snapshot: Collection[str] = (),
    said: Collection[str] = (),
    private: Collection[str] = (),
) -> str | None:
    return why_not_public(subject, snapshot=snapshot, said=said, private=private)


def test_a_name_in_the_snapshot_leaves() -> None:
    assert refusal(f"{LEFT_PAD}@1.3", snapshot={LEFT_PAD}) is None


def test_a_name_that_another_member_published_leaves() -> None:
    assert refusal(f"{LEFT_PAD}@1.3", said={f"{LEFT_PAD}@2.0"}) is None


def test_a_name_that_nobody_knows_does_not_leave() -> None:
    assert refusal(f"{LEFT_PAD}@1.3") is not None


@pytest.mark.parametrize("private", ["@acme-internal", "acme-internal", "ACME-Internal", "billing"])
def test_a_private_scope_never_leaves_not_even_when_others_named_it(private: str) -> None:
    assert refusal(PRIVATE, snapshot={PRIVATE}, said={PRIVATE}, private=(private,)) is not None


def test_the_refusal_does_not_repeat_the_name() -> None:
    assert "acme" not in str(refusal(PRIVATE)) + str(refusal(PRIVATE, private=("@acme-internal",)))


@pytest.mark.parametrize(
    "subject",
    ["pkg:npm/left-pad?repository_url=https://npm.acme.example", "pkg:maven/org.acme/x", "left-pad"],
)
def test_what_may_name_a_private_registry_is_no_public_subject(subject: str) -> None:
    assert refusal(subject, snapshot={LEFT_PAD}) is not None


@pytest.mark.parametrize(
    ("version", "kept"),
    [("@1.3.9", "@1.3"), ("@v2.10.4-rc1", "@2.10"), ("@1.3", "@1.3"), ("@sha256-0a1b", ""), ("", "")],
)
def test_the_patch_version_is_dropped(version: str, kept: str) -> None:
    assert generalised(LEFT_PAD + version) == LEFT_PAD + kept


@given(st.from_regex(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,6}", fullmatch=True))
def test_no_version_keeps_three_numbers(version: str) -> None:
    assert generalised(f"{LEFT_PAD}@{version}").count(".") == 1


def test_a_list_of_names_is_read_without_versions_and_comments() -> None:
    assert parse_names(f"# public\n\n{LEFT_PAD}@1.0.0\npkg:pypi/requests\n") == {
        LEFT_PAD,
        "pkg:pypi/requests",
    }


def test_a_line_that_is_no_name_is_named_by_its_number() -> None:
    with pytest.raises(ValueError, match="line 2"):
        parse_names(f"{LEFT_PAD}\nleft pad")


def test_a_name_is_what_stands_before_the_version() -> None:
    assert name_of("pkg:npm/%40scope/name@1.0") == "pkg:npm/%40scope/name"


@pytest.mark.parametrize(
    ("version", "leaves"),
    [
        ("1.3.9", True),
        ("2.0.0-rc1", True),
        ("v1.2.3.4", True),
        ("1.3.9-acme.billing.prod", False),
        ("1.0+acme", False),
    ],
)
def test_a_version_leaves_only_as_numbers_and_one_known_word(version: str, *, leaves: bool) -> None:
    assert (refusal(f"{LEFT_PAD}@{version}", snapshot={LEFT_PAD}) is None) is leaves
