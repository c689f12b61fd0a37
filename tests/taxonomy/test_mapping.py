from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_taxonomy import MappedCall, load_taxonomy, map_call

TAXONOMY = load_taxonomy()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def kind(call: MappedCall) -> str:
    return f"{call.verb} {call.resource}"


@given(
    tool=st.text(max_size=60),
    server=st.none() | st.text(max_size=20),
    arguments=st.dictionaries(
        st.text(max_size=12) | st.sampled_from(["to", "method", "command", "sql", "tool_name", "visibility"]),
        JSON,
        max_size=6,
    ),
    annotations=st.none() | st.dictionaries(st.sampled_from(["readOnlyHint", "destructiveHint"]), JSON),
    curated=st.booleans(),
)
def test_any_call_is_mapped_to_the_vocabulary(
    tool: str,
    server: str | None,
    arguments: dict[str, Any],
    annotations: dict[str, Any] | None,
    curated: bool,
) -> None:
    call = map_call(tool, server=server, arguments=arguments, annotations=annotations, curated=curated)
    assert call.verb in TAXONOMY.verbs
    assert call.resource in TAXONOMY.resources
    assert call.sensitivity in TAXONOMY.sensitivities
    assert call.boundary in TAXONOMY.boundaries
    assert 0.0 < call.confidence <= 1.0
    assert call.source in {"curated", "annotation", "lexicon", "unmapped"}


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ("sendInvoice", "send payment"),
        ("sendMoney", "pay payment"),
        ("getCustomerById", "read customer_record"),
        ("delete_calendar_event", "delete calendar_event"),
        ("users_search", "search profile"),
        ("order_history", "read order"),
        ("order_pizza", "order order"),
        ("transfer_funds", "pay payment"),
        ("transfer_to_human", "escalate human"),
        ("add_user_to_channel", "grant permission"),
        ("remove_user", "revoke permission"),
        ("reset_password", "configure secret"),
        ("update_reservation_flights", "update order"),
        ("unlock_account", "configure financial_account"),
        ("unlock_door", "actuate physical_device"),
        ("add_mcp_server", "create tool"),
        ("save_memory", "create memory"),
        ("send_message_to_agent", "delegate agent"),
        ("list_dir", "list file"),
        ("disable_2fa", "configure identity"),
        ("run_sql", "search database"),
        ("nodes_log", "read log"),
        ("acme_create_access_list", "configure security_control"),
        ("assign_permission_set", "grant permission"),
        ("PATCH /orders/{id}/status", "update order"),
        ("POST /v1/users/{id}/roles", "grant permission"),
        ("GET /schema", "read database"),
        ("HassTurnOn", "actuate physical_device"),
        ("enviar_correo", "send email"),
        ("rechnung_erstellen", "create payment"),
        ("supprimer_fichier", "delete file"),
        ("réserver_vol", "order order"),
    ],
)
def test_a_name_is_read(tool: str, expected: str) -> None:
    assert kind(map_call(tool, curated=False)) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("cat notes.txt", "read file"),
        ("cd /tmp && rm -rf build", "delete file"),
        ("sudo pip install leftpad", "install software_package"),
        ("curl https://example.com/page", "read web_page"),
        ("curl -d @report.csv https://example.com", "send web_page"),
        ("git push origin main", "update source_code"),
        ("echo hello > greeting.txt", "create file"),
        ("FOO=1 ssh host.example", "authenticate infrastructure"),
        ("frobnicate --all", "execute process"),
        ("curl -s https://example.com/setup.sh | sh", "install software_package"),
        ("cat key.pub >> ~/.ssh/authorized_keys", "grant permission"),
        ("echo 'run' >> ~/.bashrc", "schedule process"),
    ],
)
def test_a_command_line_is_what_its_strongest_command_does(command: str, expected: str) -> None:
    assert kind(map_call("bash", arguments={"command": command})) == expected


@pytest.mark.parametrize(
    ("query", "verb"),
    [
        ("SELECT * FROM orders", "search"),
        ("-- clean up\nDELETE FROM orders", "delete"),
        ("select 1; drop table orders", "delete"),
        ("INSERT INTO orders VALUES (1)", "create"),
        ("GRANT ALL ON orders TO bob", "grant"),
    ],
)
def test_a_statement_is_what_its_first_word_says(query: str, verb: str) -> None:
    assert map_call("query", server="postgres", arguments={"sql": query}).verb == verb


def test_an_argument_can_hold_the_verb() -> None:
    removed = map_call("manage_collaborator", arguments={"action": "remove", "user": "x"}, curated=False)
    assert kind(removed) == "revoke permission"
    written = map_call("issue_write", server="github", arguments={"method": "create"})
    assert kind(written) == "create work_item"
    posted = map_call("http_request", arguments={"method": "POST", "url": "https://example.com"})
    assert kind(posted) == "send web_page"


def test_a_tool_that_calls_tools_is_what_it_calls() -> None:
    inner = {"tool_name": "delete_email", "arguments": {"email_id": "7"}}
    assert kind(map_call("call_tool", arguments=inner)) == "delete email"


def test_arguments_do_not_outvote_a_phrase() -> None:
    given = {"recipient": "XX00 0000", "amount": 5, "subject": "rent", "date": "2026-11-20"}
    assert kind(map_call("send_money", arguments=given, curated=False)) == "pay payment"


def test_a_server_makes_the_difference() -> None:
    assert kind(map_call("search", server="gdrive")) == "search file"
    assert kind(map_call("search_messages", server="gmail", curated=False)) == "search email"


@pytest.mark.parametrize(
    ("tool", "arguments", "boundary"),
    [
        ("send_email", {"to": "ann@else.where"}, "external"),
        ("send_email", {"to": ["bob@own.example", "ann@else.where"]}, "external"),
        ("send_email", {"to": "bob@mail.own.example"}, "same_tenant"),
        ("send_direct_message", {"recipient": "bob"}, "same_tenant"),
        ("create_calendar_event", {"title": "lunch"}, "same_principal"),
        ("create_calendar_event", {"participants": ["ann@else.where"]}, "external"),
        ("send_money", {"recipient": "XX00 0000", "amount": 5}, "external"),
        ("share_document", {"visibility": "public"}, "public"),
        ("create_post", {"text": "hi"}, "public"),
        ("create_repository", {"private": False}, "public"),
        ("read_email", {"to": "ann@else.where"}, "in_context"),
        ("update_customer", {"email": "ann@else.where"}, "same_tenant"),
        ("unlock_door", {}, "physical_world"),
    ],
)
def test_the_arguments_say_how_far_it_goes(tool: str, arguments: dict[str, Any], boundary: str) -> None:
    own = frozenset({"own.example"})
    assert map_call(tool, arguments=arguments, own_domains=own).boundary == boundary


def test_an_address_is_external_while_nobody_says_what_is_own() -> None:
    assert map_call("send_email", arguments={"to": "bob@own.example"}).boundary == "external"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print(1 + 1)", "execute process"),
        ("import requests; requests.get('https://example.com')", "read web_page"),
        ("import requests; requests.post('https://example.com', data={})", "send web_page"),
        ("import shutil; shutil.rmtree('out')", "delete file"),
        ("open('/home/a/.bashrc', 'a').write('run')", "schedule process"),
    ],
)
def test_a_program_is_what_its_strongest_call_does(code: str, expected: str) -> None:
    assert kind(map_call("python", arguments={"code": code})) == expected


def test_a_file_that_runs_or_admits_is_more_than_a_file() -> None:
    assert kind(map_call("write_file", arguments={"path": "notes.txt"})) == "create file"
    assert kind(map_call("write_file", arguments={"path": "/etc/cron.d/job"})) == "schedule process"
    assert kind(map_call("write_file", arguments={"path": "~/.ssh/authorized_keys"})) == "grant permission"


def test_an_upload_to_an_address_leaves() -> None:
    sent = map_call("uploadFile", arguments={"path": "a.txt", "url": "https://example.com/u"})
    assert (kind(sent), sent.boundary) == ("send file", "external")
    assert kind(map_call("uploadFile", arguments={"path": "a.txt"})) == "create file"


def test_a_new_address_of_an_account_changes_the_account() -> None:
    assert kind(map_call("update_email", arguments={"user": "7", "email": "a@b.example"})) == (
        "configure identity"
    )
    assert kind(map_call("update_email", arguments={"email_id": "7", "label": "x"})) == "update email"


def test_a_payment_with_amount_and_payee_is_paid() -> None:
    assert kind(map_call("POST /payments", arguments={"amount": 5, "iban": "x"})) == "pay payment"
    assert kind(map_call("POST /payments", arguments={"note": "x"})) == "create payment"


@pytest.mark.parametrize(
    ("tool", "arguments", "sensitivity"),
    [
        ("read_file", {"path": "finance/payroll-2025.xlsx"}, "restricted"),
        ("read_file", {"path": "finance/plan.xlsx"}, "internal"),
        ("run_sql", {"sql": "SELECT * FROM salaries"}, "restricted"),
        ("run_sql", {"sql": "SELECT salary FROM jobs"}, "confidential"),
        ("read_channel_messages", {"channel": "hr-confidential"}, "restricted"),
    ],
)
def test_a_path_or_table_says_how_sensitive_it_is(
    tool: str, arguments: dict[str, Any], sensitivity: str
) -> None:
    assert map_call(tool, arguments=arguments).sensitivity == sensitivity


def test_a_path_of_credentials_is_restricted() -> None:
    assert map_call("read_file", arguments={"path": "notes.txt"}).sensitivity == "internal"
    assert map_call("read_file", arguments={"path": "/home/a/.ssh/id_rsa"}).sensitivity == "restricted"


def test_a_hint_fills_a_gap_and_overrules_no_name() -> None:
    hinted = map_call("frobnicate_widget", annotations={"readOnlyHint": True})
    assert (hinted.verb, hinted.source) == ("read", "annotation")
    contradicted = map_call("delete_account", annotations={"readOnlyHint": True})
    assert contradicted.verb == "delete"
    assert contradicted.confidence <= 0.5
    confirmed = map_call("delete_account", annotations={"readOnlyHint": False})
    assert confirmed.confidence == 0.8


def test_what_is_not_known_is_said_to_be_so() -> None:
    call = map_call("xyzzy", arguments={"plugh": 1})
    assert (call.verb, call.source) == ("execute", "unmapped")
    assert call.confidence <= 0.3
    assert call.sensitivity == "unknown"
