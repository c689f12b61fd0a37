"""The IOINT node: scores what agents do against what they declared, and warns the other members."""

__version__ = "0.1.0"
