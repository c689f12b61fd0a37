"""An agent of which only the MCP client is traced, as the official SDK does it, with a server in the same process."""

from __future__ import annotations

import asyncio

from mcp.client import Client
from mcp.server.mcpserver import MCPServer
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


async def main() -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    server = MCPServer("orders")

    @server.tool()
    def get_order_status(order_id: str) -> str:
        return f"Order {order_id} has shipped."

    with trace.get_tracer("agent").start_as_current_span("invoke_agent support") as span:
        span.set_attributes({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"})
        async with Client(server) as client:
            await client.call_tool("get_order_status", {"order_id": "7"})
    provider.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
