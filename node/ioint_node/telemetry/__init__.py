"""What agents' telemetry says, in our words: spans and log records of OpenTelemetry become what happened in a session.

Three steps, each pure: `wire` decodes what exporters send, `dialects` reads one span whoever wrote it, `runs` puts the
spans of a trace together. `buffer` holds spans until their trace can be told, since children end before their parents.
"""

from ioint_node.telemetry.buffer import Buffer, Trace
from ioint_node.telemetry.history import History
from ioint_node.telemetry.runs import assemble
from ioint_node.telemetry.values import Happening, Run, Sender, Span, TelemetryLimits
from ioint_node.telemetry.wire import Batch, TooManyError, WireError, decode

__all__ = [
    "Batch",
    "Buffer",
    "Happening",
    "History",
    "Run",
    "Sender",
    "Span",
    "TelemetryLimits",
    "TooManyError",
    "Trace",
    "WireError",
    "assemble",
    "decode",
]
