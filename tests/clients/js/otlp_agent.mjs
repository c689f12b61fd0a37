// An agent traced by hand with OpenTelemetry's own JavaScript SDK: OTLP in JSON, gzip, chunked; spans and log records.
import { trace, context, SpanKind } from "@opentelemetry/api";
import { logs } from "@opentelemetry/api-logs";
import { CompressionAlgorithm } from "@opentelemetry/otlp-exporter-base";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

const resource = resourceFromAttributes({ "service.name": process.env.OTEL_SERVICE_NAME });
const compression = CompressionAlgorithm.GZIP;
const provider = new NodeTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ compression }))],
});
provider.register();
const logging = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ compression }) })],
});
const tracer = trace.getTracer("shop");
const logger = logging.getLogger("shop");
const within = (span) => trace.setSpan(context.active(), span);

const agent = tracer.startSpan("invoke_agent support", {
  attributes: {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "support",
    "gen_ai.agent.description": "Answers questions about the status of orders.",
    "gen_ai.conversation.id": "talk-1",
  },
});
const chat = tracer.startSpan(
  "chat scripted",
  { kind: SpanKind.CLIENT, attributes: { "gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 17 } },
  within(agent),
);
// What was said comes as a log record, as the newer conventions have it.
logger.emit({
  eventName: "gen_ai.client.inference.operation.details",
  context: within(chat),
  attributes: {
    "gen_ai.input.messages": [{ role: "user", parts: [{ type: "text", content: "Where is my order 7?" }] }],
    "gen_ai.output.messages": [
      { role: "assistant", parts: [{ type: "tool_call", id: "c1", name: "get_order_status", arguments: { order_id: 7 } }] },
    ],
  },
});
chat.end();
const tool = tracer.startSpan(
  "execute_tool get_order_status",
  {
    attributes: {
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": "get_order_status",
      "gen_ai.tool.call.id": "c1",
      "gen_ai.tool.call.arguments": '{"order_id":7}',
      "gen_ai.tool.call.result": '{"status":"shipped"}',
    },
  },
  within(agent),
);
tool.end();
agent.end();
await provider.shutdown();
await logging.shutdown();
