"""Measure how many spans a node takes in per CPU second, and write it to `otlp.json` and `otlp.md`.

    python docs/measurements/otlp.py [--short] [--out DIR]

Under a minute. Each mix of spans is decoded, kept and told to a node in this process with everything on; the floor, the
protobuf library parsing the same bytes and no more, is measured in the same round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ioint_node.app import Node
from ioint_node.bench.figures import machine, versions
from ioint_node.bench.place import home, make_node, opened
from ioint_node.bench.workload import Script, script
from ioint_node.telemetry import Sender, TelemetryLimits, decode
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SCHEMA = "ioint.measurement.otlp/1"
CALLS = 8  # tool calls of one trace
BATCH = 512  # spans of one request, as the SDKs send them
SENDER = Sender(id="measurement")


@dataclass(frozen=True, kw_only=True)
class Mix:
    """One kind of trace: so many spans of HTTP clients `around` each call, and whether there is an `agent` at all."""

    name: str
    around: int
    agent: bool = True


MIXES = (
    Mix(name="agent alone", around=0),
    Mix(name="agent in its service", around=5),
    Mix(name="agent in a large service", around=20),
    Mix(name="no agent", around=5, agent=False),
)


class Trace:
    """The spans of one trace, in the order in which they end."""

    def __init__(self, number: int, mix: Mix) -> None:
        self._trace = (number + 1).to_bytes(16, "big")
        self._mix = mix
        self._next = 1
        self._at = 1_795_000_000_000_000_000
        self.spans: list[Span] = []
        self.tools = 0

    def span(self, name: str, parent: int, said: dict[str, str], *, kind: int = 1) -> int:
        """Add a span, and return its number."""
        self._next += 1
        self._at += 1_000_000
        made = Span(
            trace_id=self._trace,
            span_id=self._next.to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            name=name,
            kind=kind,  # type: ignore[arg-type] # a number of the enumeration
            start_time_unix_nano=self._at,
            end_time_unix_nano=self._at + 500_000,
        )
        for key, value in said.items():
            made.attributes.add(key=key).value.string_value = value
        self.spans.append(made)
        return self._next

    def around(self, parent: int) -> None:
        """Add the spans that say nothing of agents."""
        said = {
            "http.request.method": "POST",
            "url.full": "https://internal.example/v1/things?page=1",
            "http.response.status_code": "200",
            "server.address": "internal.example",
            "network.protocol.version": "1.1",
            "user_agent.original": "python-httpx/0.28",
        }
        for _ in range(self._mix.around):
            self.span("POST", parent, said, kind=3)

    def play(self, one: Script) -> None:
        """An agent that answers with some calls, each asked for by its model, which hears all that was before."""
        root = self._next = 1
        heard: list[dict[str, Any]] = [{"role": "user", "parts": [{"type": "text", "content": one.prompt}]}]
        same = {"gen_ai.agent.name": "worker", "gen_ai.provider.name": "openai"}
        for number, call in enumerate(one.calls[:CALLS]):
            if not self._mix.agent:
                self.around(root)
                self.around(root)
                continue
            asks = {
                "role": "assistant",
                "parts": [
                    {"type": "tool_call", "id": f"c{number}", "name": call.tool, "arguments": call.arguments}
                ],
            }
            said = {
                **same,
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "m-1",
                "gen_ai.input.messages": json.dumps(heard),
                "gen_ai.output.messages": json.dumps([asks]),
            }
            self.around(self.span("chat m-1", root, said, kind=3))
            tool = {
                **same,
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": call.tool,
                "gen_ai.tool.call.id": f"c{number}",
                "gen_ai.tool.call.arguments": json.dumps(call.arguments),
                "gen_ai.tool.call.result": call.result,
            }
            self.around(self.span(f"execute_tool {call.tool}", root, tool))
            self.tools += 1
            answer = {"type": "tool_call_response", "id": f"c{number}", "response": call.result}
            heard += [asks, {"role": "tool", "parts": [answer]}]
        said = {**same, "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.description": one.declared}
        self.spans.append(
            Span(
                trace_id=self._trace,
                span_id=(1).to_bytes(8, "big"),
                name="invoke_agent worker" if self._mix.agent else "GET /",
                start_time_unix_nano=1_795_000_000_000_000_000,
                end_time_unix_nano=self._at + 1_000_000,
            )
        )
        for key, value in (said if self._mix.agent else {"http.route": "/"}).items():
            self.spans[-1].attributes.add(key=key).value.string_value = value


def bodies(mix: Mix, first: int, traces: int) -> tuple[list[bytes], int, int]:
    """Requests with the spans of these traces, how many spans they are, and how many of those are tool calls."""
    spans: list[Span] = []
    tools = 0
    for number in range(first, first + traces):
        trace = Trace(number, mix)
        trace.play(script(number))
        spans += trace.spans
        tools += trace.tools
    made = []
    for at in range(0, len(spans), BATCH):
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = f"shop-{first % 50}"
        resource.scope_spans.add().spans.extend(spans[at : at + BATCH])
        made.append(request.SerializeToString())
    return made, len(spans), tools


async def one_round(node: Node, mix: Mix, first: int, traces: int) -> dict[str, float]:
    """CPU seconds of this process for each part of one round."""
    telemetry, limits = node.local.telemetry, TelemetryLimits()
    sent, spans, tools = bodies(mix, first, traces)
    began = time.process_time()
    for body in sent:
        ExportTraceServiceRequest.FromString(body)
    floor = time.process_time() - began
    began = time.process_time()
    batches = [decode(body, "traces", SENDER, limits, json=False) for body in sent]
    decoded = time.process_time() - began
    began = time.process_time()
    for batch in batches:
        telemetry.take(SENDER, batch)
    kept = time.process_time() - began
    began = time.process_time()
    await telemetry.tell(all_of_them=True)
    await node.assess.journal.settled()
    told = time.process_time() - began
    sizes = sum(map(len, sent))
    return {
        "spans": spans,
        "tools": tools,
        "bytes": sizes,
        "floor": floor,
        "decode": decoded,
        "keep": kept,
        "tell": told,
    }


async def measure(*, traces: int, rounds: int) -> dict[str, Any]:
    """Measure every mix in every round, after one that warms up."""
    found: dict[str, list[dict[str, float]]] = {mix.name: [] for mix in MIXES}
    with home() as root:
        await make_node(root / "node")
        async with opened(root / "node", time.time_ns() // 1_000_000) as node:
            for number in range(rounds + 1):
                for place, mix in enumerate(MIXES):
                    first = (number * len(MIXES) + place) * traces
                    seen = await one_round(node, mix, first, traces)
                    if number:  # the first warms up
                        found[mix.name].append(seen)
            counts = node.local.telemetry.counted()
    return {
        "schema": SCHEMA,
        "rounds": rounds,
        "traces_of_each_mix": traces,
        "calls_of_a_trace": CALLS,
        "mixes": {name: summed(seen) for name, seen in found.items()},
        "counts": counts,
        "machine": machine(),
        "versions": versions("protobuf", "opentelemetry-proto"),
    }


def summed(seen: list[dict[str, float]]) -> dict[str, Any]:
    """Medians of the rounds, in spans per CPU second."""

    def rate(*parts: str) -> int:
        return round(statistics.median(one["spans"] / sum(one[part] for part in parts) for one in seen))

    whole = ("decode", "keep", "tell")
    per_call = statistics.median(one["tell"] / one["tools"] for one in seen) if seen[0]["tools"] else None
    return {
        "spans": int(seen[0]["spans"]),
        "tool_calls": int(seen[0]["tools"]),
        "bytes_of_a_span": round(seen[0]["bytes"] / seen[0]["spans"]),
        "spans_per_cpu_s": rate(*whole),
        "decode_and_keep_per_cpu_s": rate("decode", "keep"),
        "floor_per_cpu_s": rate("floor"),
        "ratio": round(rate("decode", "keep") / rate("floor"), 4),
        "ms_of_a_tool_call": None if per_call is None else round(per_call * 1000, 3),
    }


def page(found: dict[str, Any]) -> str:
    """The document as a page."""
    where = found["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [
        "# Telemetry taken in, measured",
        "",
        f"Made by `docs/measurements/otlp.py` on {where['cores']} x {where['processor']}, {where['system']}, load"
        f" {where['load'][0]}, with {packages}.",
        "",
        f"{found['traces_of_each_mix']} traces of each mix in each of {found['rounds']} rounds, in requests of"
        f" {BATCH} spans in protobuf. A trace is one agent with {found['calls_of_a_trace']} tool calls, each asked for"
        " by a model that is given all that was said before, and around each call so many spans of HTTP clients as"
        " the mix says. All of it is decoded, kept until its trace ends, put together, judged with everything on, and"
        " written to SQLite; HTTP is not in it. The floor parses the same bytes into messages of protobuf and does"
        " nothing more. CPU seconds are those of the process, its database thread included; medians of the rounds.",
        "",
        "| mix | spans that are tool calls | bytes of a span | spans per CPU second | decoded and kept alone |"
        " floor | decoded and kept / floor | ms of a tool call, told |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in found["mixes"].items():
        call = "" if one["ms_of_a_tool_call"] is None else f"{one['ms_of_a_tool_call']:.2f}"
        lines.append(
            f"| {name} | {one['tool_calls'] / one['spans']:.1%} | {one['bytes_of_a_span']:,} |"
            f" {one['spans_per_cpu_s']:,} | {one['decode_and_keep_per_cpu_s']:,} | {one['floor_per_cpu_s']:,} |"
            f" {one['ratio']:.2f} | {call} |"
        )
    lines += [
        "",
        "What bounds it is the share of tool calls: each is one decision and one result, with a share of its"
        " session's opening, prompts and end. A span that says nothing of agents costs what its decoding costs.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    found = asyncio.run(measure(traces=8 if options.short else 30, rounds=1 if options.short else 3))
    (options.out / "otlp.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    (options.out / "otlp.md").write_text(page(found), "utf-8")


if __name__ == "__main__":
    main()
