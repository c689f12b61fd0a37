"""The names behind an envelope, and calls that leave them."""

from __future__ import annotations

import json
import timeit
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.scoring.concrete import (
    ARGUMENTS_EXAMINED,
    NAMES,
    NOTHING_NAMED,
    TOOLS,
    Concrete,
    concrete_departures,
    concrete_of,
)
from ioint_node.scoring.values import Declaration
from ioint_taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
REPORT = TAXONOMY.families["produce_report"].envelope
KNOWN = Concrete(
    tools=("read_file", "files.search"),
    hosts=("api.example.com", "*.internal.example.com"),
    paths=("/srv/reports", "~/drafts"),
    tables=("sales.orders", "customers"),
)


def named(text: str = "", tools: tuple[str, ...] = (), **given: Any) -> Concrete:
    return concrete_of(Declaration(text=text, tools=tools), REPORT, taxonomy=TAXONOMY, **given)


def leaving(arguments: dict[str, Any], tool: str = "read_file", server: str | None = None) -> tuple[str, ...]:
    return concrete_departures(KNOWN, tool, server, arguments)


def test_tools_are_sorted_by_whether_the_intent_covers_them() -> None:
    found = named(tools=("read_file", "search_web", "delete_user", "pay_invoice"))
    assert found.tools == ("read_file", "search_web")
    assert found.withheld == ("delete_user", "pay_invoice")


def test_what_a_declaration_names_is_found_in_its_words() -> None:
    found = named(
        "Read /srv/reports/2026/ and https://api.example.com:8443/v1, then 10.0.0.7, from table `orders` "
        "joined with table sales.lines; and/or the table of contents, e.g. in notes.txt"
    )
    assert found.paths == ("/srv/reports/2026",)
    assert found.hosts == ("api.example.com", "10.0.0.7")
    assert found.tables == ("orders", "sales.lines")


def test_what_the_caller_names_goes_before_the_words() -> None:
    found = named("read https://one.example.org/", hosts=("HTTPS://Two.example.org/",), paths=("/a/../b/",))
    assert found.hosts == ("two.example.org",)
    assert found.paths == ("/b",)


def test_a_declaration_that_names_nothing_limits_nothing() -> None:
    assert named("summarise what is new") == NOTHING_NAMED
    assert (
        concrete_departures(NOTHING_NAMED, "any", None, {"path": "/etc/passwd", "url": "http://x.example"})
        == ()
    )


def test_it_is_json_and_comes_back() -> None:
    assert Concrete.from_json(json.loads(json.dumps(KNOWN.to_json()))) == KNOWN


def test_every_kind_is_bounded() -> None:
    many = named(
        tools=tuple(f"read_file_{number}" for number in range(1_000)),
        hosts=[f"h{number}.example.com" for number in range(1_000)],
        paths=["/" + "x" * 1_000, *(f"/p/{number}" for number in range(1_000))],
    )
    assert len(many.tools) + len(many.withheld) <= TOOLS
    assert len(many.hosts) == len(many.paths) == NAMES
    assert all(len(path) < 300 for path in many.paths)


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "/srv/reports"},
        {"path": "/srv/reports/q3.csv"},
        {"path": "file:///srv/reports/q3.csv"},
        {"path": "q3.csv"},
        {"files": ["/srv/reports/a", "~/drafts/b"]},
        {"url": "https://api.example.com/v1?x=1"},
        {"host": "db.internal.example.com:5432"},
        {"url": "http://API.EXAMPLE.COM./v1"},
        {"table": "orders"},
        {"sql": "select * from sales.orders o join public.customers c on c.id = o.customer"},
        {"query": "news from paris"},
        {"body": "see https://elsewhere.example.net for more"},
        {"limit": 10, "flag": True, "nested": {"path": "/etc"}},
    ],
)
def test_a_call_that_stays_inside_has_no_departure(arguments: dict[str, Any]) -> None:
    assert leaving(arguments) == ()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"path": "/etc/passwd"}, "path /etc/passwd"),
        ({"path": "/srv/reports/../../etc/passwd"}, "path /etc/passwd"),
        ({"path": "/srv/reports/%2e%2e/secret"}, "path /srv/secret"),
        ({"path": "//etc/passwd"}, "path /etc/passwd"),
        ({"path": "/srv/reports-old/x"}, "path /srv/reports-old/x"),
        ({"path": "../../etc/passwd"}, "path ../../etc/passwd"),
        ({"path": r"\srv\other\x"}, "path /srv/other/x"),
        ({"note": "/etc/shadow"}, "path /etc/shadow"),
        ({"files": ["/srv/reports/a", "/home/ann/.ssh/id"]}, "path /home/ann/.ssh/id"),
        ({"url": "https://evil.example/x"}, "host evil.example"),
        ({"url": "https://api.example.com@evil.example/"}, "host evil.example"),
        ({"url": "https://api.example.com.evil.example/"}, "host api.example.com.evil.example"),
        ({"anything": "ftp://evil.example/x"}, "host evil.example"),
        ({"host": "internal.example.com.evil.example"}, "host internal.example.com.evil.example"),
        ({"table": "hr.salaries"}, "table hr.salaries"),
        ({"sql": "select 1 from orders, hr.salaries"}, "table hr.salaries"),
        ({"sql": 'select 1 from/**/"hr"."salaries"'}, "table hr.salaries"),
        ({"sql": "DELETE FROM payroll"}, "table payroll"),
        ({"sql": "insert into payroll values (1)"}, "table payroll"),
        (
            {"sql": "select 1 from orders" + " " * 3_000 + "union select 1 from payroll"},
            "query longer than 2048 characters",
        ),
    ],
)
def test_a_call_that_leaves_is_told_where(arguments: dict[str, Any], reason: str) -> None:
    assert reason in leaving(arguments)


def test_a_tool_that_was_not_declared_is_outside_whatever_it_does() -> None:
    assert leaving({}, tool="send_email") == ("tool send_email",)
    assert leaving({}, tool="search", server="files") == ()


def test_padding_hides_nothing() -> None:
    padded: dict[str, Any] = {f"k{number}": "x" for number in range(ARGUMENTS_EXAMINED)}
    assert leaving({**padded, "path": "/etc/passwd"}) == (f"more than {ARGUMENTS_EXAMINED} arguments",)
    (reason,) = leaving({"path": "/srv/reports/" + "a/../" * 400 + "../../etc/passwd"})
    assert reason.startswith("path ")


def test_a_reason_can_be_printed_and_is_short() -> None:
    (reason,) = leaving({"path": "/x\x1b[2J\n" + "y" * 400})
    assert reason.isprintable()
    assert len(reason) < 80


@given(
    st.dictionaries(
        st.text(max_size=12),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=60),
            lambda inner: st.lists(inner, max_size=4),
            max_leaves=6,
        ),
        max_size=6,
    )
)
def test_any_arguments_get_an_answer(arguments: dict[str, Any]) -> None:
    assert all(one.isprintable() for one in leaving(arguments))


@given(st.text(max_size=400))
def test_any_declaration_gets_an_answer(text: str) -> None:
    found = named(text)
    assert max(map(len, (found.hosts, found.paths, found.tables))) <= NAMES


@pytest.mark.parametrize("text", ["a." * 2_000, "a-" * 2_000, "//" * 2_000, "table " * 600, "http://" * 500])
def test_no_declaration_is_slow(text: str) -> None:
    assert min(timeit.repeat(lambda: named(text), number=1, repeat=3)) < 0.1


@pytest.mark.parametrize("text", ["from " * 400, "select " + "a a," * 500, "from a b , " * 180, '"' * 2_000])
def test_no_query_is_slow(text: str) -> None:
    assert min(timeit.repeat(lambda: leaving({"sql": text}), number=1, repeat=3)) < 0.1
