"""The bundle of Open Policy Agent, judged by Rego itself."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

pytestmark = pytest.mark.network
PATH = "/bundles/ioint.tar.gz"
DOCUMENT = Path(__file__).parents[3] / "docs" / "envoy-opa.md"


async def bundle(node: Node, role: str = "engine") -> dict[str, Any]:
    answer = await node.get(PATH, role)
    assert answer.status == 200
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(await answer.read()))) as files:
        opened = {one.name: files.extractfile(one) for one in files.getmembers()}
        return {name: json.load(file) for name, file in opened.items() if file is not None}


async def test_a_bundle_holds_whom_the_node_trusts_and_what_is_warned_of(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    await node.open_session(actor="a-7")
    await node.parts.assess.journal.settled()
    held = await bundle(node)
    assert held["/.manifest"]["roots"] == ["ioint"]
    data = held["/ioint/data.json"]
    assert data["actors"]["a-7"]["friction"] == "strict"
    assert data["indicators"][pattern]["state"] == "watched"
    assert data["complete"] is True


async def test_a_bundle_holds_nothing_above_the_clearance(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern, tlp="red"))
    assert pattern not in (await bundle(node))["/ioint/data.json"]["indicators"]
    assert pattern in (await bundle(node, "admin"))["/ioint/data.json"]["indicators"]


async def test_who_has_the_newest_bundle_is_told_so_until_something_changes(node: Node) -> None:
    tag = (await node.get(PATH, "engine")).headers["ETag"]
    assert (await node.get(PATH, "engine", headers={"If-None-Match": tag})).status == 304
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    assert (await node.get(PATH, "engine", headers={"If-None-Match": tag})).status == 200


async def test_the_policy_of_the_documentation_decides_by_the_bundle(node: Node) -> None:
    regopy = pytest.importorskip("regopy", reason="no Rego for this machine")
    (rego,) = re.findall(r"```rego\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    await node.open_session(actor="a-7")
    await node.parts.assess.journal.settled()
    engine = regopy.Interpreter()
    engine.add_module("agents", rego)
    engine.add_data_json(
        json.dumps({"ioint": (await bundle(node))["/ioint/data.json"] | {"expires_ns": 1 << 62}})
    )

    def allowed(**asked: object) -> bool:
        engine.set_input_term(json.dumps(asked))
        return str(engine.query("data.agents.allow")) == '{"expressions":[true]}'

    assert allowed(actor="a-7", verb="read")
    assert not allowed(actor="a-7", verb="delete")
    assert not allowed(actor="nobody", verb="read")
