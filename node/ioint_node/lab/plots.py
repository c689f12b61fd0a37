"""Plots of what came out: SVG files by matplotlib, which the extra `lab` installs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ioint_node.errors import ConfigError
from ioint_node.lab.rules import RIVALS, SHIPPED
from ioint_node.lab.runs import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, OTHERS = "#1f6f8b", "#b0772b"
MARKS: Final = "xv^<>sd*"
STYLE: Final = {"svg.hashsalt": "ioint", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def plot(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write the plots that these rows can fill, and say which.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise ConfigError("plots are made with matplotlib: pip install 'ioint[lab]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (title, draw, wanted) in _PLOTS.items():
        chosen = [row for row in rows if wanted(row)]
        if chosen:
            with mpl.rc_context(STYLE):
                figure = Figure(figsize=(7.2, 4.2), layout="constrained")
                axes = figure.subplots()
                draw(axes, chosen)
                axes.set_title(title, loc="left")
                path = folder / f"{name}.svg"
                figure.savefig(path, format="svg", metadata={"Date": None})
            written.append(path)
    return written


def _lift(axes: Axes, rows: Sequence[Row]) -> None:
    """Warned blind sessions beside what benign actions pay, one mark for each rule and world."""
    others = iter(MARKS)
    for rule in dict.fromkeys(row["rule"] for row in rows):
        found = [row for row in rows if row["rule"] == rule]
        axes.scatter(
            [sum(row["friction"]) + 0.001 for row in found],
            [100 * row["lift"][0] for row in found],
            color=OTHERS if rule in RIVALS else OURS,
            marker=next(others) if rule in RIVALS else "o",
            alpha=0.7,
            label=rule,
        )
    axes.set_xscale("log")
    axes.set_xlabel("benign actions that complete a pattern under effect, per 1,000")
    axes.set_ylabel("later victims warned in time, %")
    axes.set_ylim(-3, 103)
    axes.legend(frameon=False, fontsize=7)


def _colluders(axes: Axes, rows: Sequence[Row]) -> None:
    """The fewest colluders for an effect on a clean subject, by rule."""
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    users = sorted({row["users"] for row in rows})
    width = 0.8 / len(users)
    for i, count in enumerate(users):
        needed = {row["rule"]: row["slander"][1] or 0 for row in rows if row["users"] == count}
        axes.bar(
            [place + i * width for place in range(len(rules))],
            [needed.get(rule, 0) for rule in rules],
            width,
            label=f"{count} honest users",
            color=OURS,
            alpha=0.35 + 0.6 * i / max(1, len(users) - 1),
        )
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(rules))], rules, rotation=20)
    axes.set_ylabel("fewest colluders for an effect of .10")
    axes.legend(frameon=False)


def _levels(axes: Axes, rows: Sequence[Row]) -> None:
    """How many later victims meet which effect, by size and hostile share."""
    rows = sorted(rows, key=lambda row: (row["orgs"], row["hostile"], row["rule"]))
    names = [f"{row['orgs']} / {row['hostile']}\n{row['rule']}" for row in rows]
    for level, (label, shade) in enumerate((("≥ .05", 0.35), ("≥ .10", 0.65), (".30", 1.0))):
        axes.bar(
            range(len(rows)), [100 * row["lift"][level] for row in rows], color=OURS, alpha=shade, label=label
        )
    axes.set_xticks(range(len(rows)), names, fontsize=6, rotation=60)
    axes.set_ylabel("later victims, %")
    axes.set_ylim(0, 112)
    axes.legend(frameon=False, ncols=3)


_PLOTS: Final[Mapping[str, tuple[str, Callable[[Axes, Sequence[Row]], None], Callable[[Row], bool]]]] = {
    "reputation-lift": (
        "Warned in time, and what it costs",
        _lift,
        lambda row: (
            row["part"] == "patterns"
            and row["attack"] in {"none", "joint"}
            and (row["rule"] == SHIPPED.name or row["rule"] in RIVALS)
        ),
    ),
    "reputation-colluders": (
        "Fewest colluders that slander one subject, 100 organisations",
        _colluders,
        lambda row: row["part"] == "flip" and row["orgs"] == 100,
    ),
    "reputation-levels": (
        "Effect on later victims (organisations / hostile)",
        _levels,
        lambda row: (
            row["part"] == "patterns"
            and row["attack"] in {"none", "joint"}
            and row["rule"] in {SHIPPED.name, "TIER"}
        ),
    ),
}
