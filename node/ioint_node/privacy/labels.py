"""The labels of the Traffic Light Protocol 2.0 that a record may have when it leaves."""

from __future__ import annotations

from typing import Final

SHAREABLE: Final = ("clear", "green", "amber", "amber_strict")


def why_not_shareable(label: str) -> str | None:
    """Why nothing can leave with this label; None when it can."""
    if label in SHAREABLE:
        return None
    if label == "red":
        return (
            "red is for single people alone, and every member holds every record: nothing can leave with it"
        )
    return f"{label[:32]!r} is none of {', '.join(SHAREABLE)}"
