"""The description of the interface is OpenAPI 3.1 and true: requests made of it alone find no answer beside it.

`OPENAPI_EXAMPLES=100 pytest tests/clients/test_openapi.py` asks longer: so many requests for each operation, and the
deliberate edge cases besides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from ioint_node.access.rights import MAY, RIGHTS
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.clients.running import Running, running_node

pytestmark = pytest.mark.network
EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "0"))
PHASES = "coverage,fuzzing" if EXAMPLES else "fuzzing"
RUN_S = 3_600 if EXAMPLES else 240
RIGHTS_PAGE = Path(__file__).parents[2] / "docs" / "auth.md"
BEGIN, END = "<!-- rights: begin -->", "<!-- rights: end -->"
ENDLESS = "^/api/v1/stream$"  # is read until it ends, and it does not
# What is asked of every answer is all that the program can ask, but for two things:
# a request whose form is right may still be refused for what it says (a reason is missing where effects go off), and
# where one path is also an instance of another, `Allow` names the methods of both.
CONFIG = """
[checks]
positive_data_acceptance.enabled = false
allow_header_conformance.enabled = false

[parameters]
"path.session" = "s-1"
"path.agent" = "a-1"
"path.pattern" = "{pattern}"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_node(tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture(scope="module")
def document(node: Running) -> dict[str, Any]:
    with urlopen(f"{node.url}/openapi.json") as answer:  # noqa: S310 - our own address
        return dict(json.load(answer))


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_operation_says_what_it_answers_when_it_succeeds(document: dict[str, Any]) -> None:
    silent = [
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if not any(status.startswith(("2", "3")) for status in operation["responses"])
    ]
    assert silent == []


def test_no_operation_answers_anything_by_default(document: dict[str, Any]) -> None:
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert not any("default" in one["responses"] for one in operations)
    assert len({one["operationId"] for one in operations}) == len(operations)


def test_the_rights_and_scopes_that_are_documented_are_those_of_the_routes(
    document: dict[str, Any],
) -> None:
    text = RIGHTS_PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    whole = f"{before}{BEGIN}{rights_table(document)}{END}{after}"
    if os.environ.get("WRITE_DOCS"):
        RIGHTS_PAGE.write_text(whole)
    assert RIGHTS_PAGE.read_text() == whole, "run WRITE_DOCS=1 pytest tests/clients/test_openapi.py -k rights"


def rights_table(document: dict[str, Any]) -> str:
    """What each right is for, who has it, and the routes that ask for it."""
    routes: dict[str, dict[str, list[str]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            asked = operation.get("x-ioint-right", "(none)")
            routes.setdefault(asked, {}).setdefault(path, []).append(method.upper())
    about = {**RIGHTS, "any": "every token, whatever its role and scopes", "(none)": "open to everybody"}
    rows = ["| right | is for | roles | routes |", "|---|---|---|---|"]
    for right, meaning in about.items():
        roles = ", ".join(f"`{role}`" for role in MAY if right in MAY[role] or right == "any") or "-"
        listed = "<br>".join(
            f"{' '.join(sorted(methods))} `{path}`" for path, methods in sorted(routes.get(right, {}).items())
        )
        rows.append(f"| `{right}` | {meaning} | {roles} | {listed or '-'} |")
    return "\n" + "\n".join(rows) + "\n"


def test_generated_requests_find_no_failure_and_no_undescribed_answer(node: Running, tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(pattern=node.pattern))
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file",
        str(config),
        "run",
        f"{node.url}/openapi.json",
        "--header",
        f"Authorization: Bearer {node.keys['admin']}",
        "--phases",
        PHASES,
        "--max-examples",
        str(EXAMPLES or 1),
        "--seed",
        "1",
        "--no-color",
        "--exclude-path-regex",
        ENDLESS,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
