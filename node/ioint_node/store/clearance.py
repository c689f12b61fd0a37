"""Who may see what: the five labels of the Traffic Light Protocol 2.0, from open to closed."""

from __future__ import annotations

LABELS = ("clear", "green", "amber", "amber_strict", "red")


def visible(clearance: str) -> tuple[str, ...]:
    """The labels that a reader with this clearance may see.

    Raises:
        ValueError: no label of TLP 2.0.
    """
    if clearance not in LABELS:
        raise ValueError(f"{clearance[:32]!r} is no label of TLP 2.0: {', '.join(LABELS)}")
    return LABELS[: LABELS.index(clearance) + 1]
