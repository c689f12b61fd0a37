"""Security events as the Shared Signals Framework 1.0 has them: subjects, CAEP events, signed tokens. Pure."""

from __future__ import annotations
