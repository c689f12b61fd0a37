"""The demo in the terminal: what happens, as it happens, in the order verdict → bytes → arrival → belief → trust."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ioint_taxonomy import load_catalogue
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ioint_node.demo.play import Played
from ioint_node.demo.stage import Organisation
from ioint_node.demo.summary import TrustChange

VERDICT_LINES = 12  # of a long file only the first are printed; all are counted
ENGINE_LINES = 6
CHANGE_LINES = 6
SOC_ROWS = 8
TABLE_COLUMNS = 110  # of the terminal, from which indicators are a table
SOC_FIGURES = ("state", "score", "confidence", "reporters", "tier", "effect", "hits here")
COLOURS = {"in_scope": "green", "borderline": "yellow", "out_of_scope": "red"}


class Screen:
    """Prints the story; to standard error where standard output belongs to a program."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._console = Console(stderr=to_stderr, highlight=False)
        self._verdicts = 0
        self._engines = 0
        self._changes = 0
        self._titles = {entry.id: entry.title for entry in load_catalogue().entries.values()}

    def opening(self, names: Sequence[str], sessions: Path | None) -> None:
        """Who takes part, and what they replay."""
        what = f"the sessions of {sessions}" if sessions else "sessions that this project wrote for its demo"
        self._console.rule("[bold]IOINT · a consortium on this machine")
        self._console.print(
            f"{len(names)} organisations, each with its own node: {', '.join(names[:-1])} are honest, "
            f"[red]{names[-1]}[/] is hostile. They replay {escape(what)}."
        )
        self._console.print(
            "[dim]drift: how likely an action has left what was declared (0…1) · WIS: weighted intent score, "
            "1 good … 0 bad · effect: what the network takes off the trust that a decision uses[/]"
        )

    def say(self, text: str) -> None:
        """One line of what is being done."""
        self._console.print(f"[dim]·[/] {text}")

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[], None]]:
        """A bar over the sessions of one wave."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(f"{title}: sessions", total=total)
            yield lambda: progress.advance(task)

    def verdict(self, organisation: str, played: Played) -> None:
        """An action that was not in scope, with its strongest reason."""
        self._verdicts += 1
        if self._verdicts > VERDICT_LINES:
            return
        decision = played.decision
        step = decision["step"]
        reason = next((reason["text"] for reason in decision["reasons"]), "")
        self._console.print(
            f"[bold]1 verdict[/]  {organisation} · agent {escape(played.agent)} · {step['verb']} {step['resource']} → "
            f"[{COLOURS[decision['verdict']]}]{decision['verdict']}[/] drift {decision['drift']:.2f} "
            f"WIS {decision['wis']:.2f} · would {decision['response']} [dim]{escape(reason)}[/]"
        )

    def slandered(self, hostile: str, pattern: str, accepted: int) -> None:
        """The hostile member's lie."""
        self._console.print(
            f"[red bold]! slander[/]  {hostile} signs that “{escape(self._title(pattern))}” is malicious, a pattern "
            f"that the others use daily; {accepted} nodes accept the record, as it is well formed"
        )

    def report_left(self, organisation: str, item: Mapping[str, Any]) -> None:
        """The exact bytes that left."""
        body = base64.b64decode(item["bytes_b64"]).decode()
        title = f"2 indicator · these {len(body)} bytes left {organisation}, and nothing else"
        note = "bad, seen, agents are powers of two: 0 is one · days count from 1970"
        self._console.print(
            Panel(escape(_pretty(body)), title=title, subtitle=note, border_style="cyan", expand=False)
        )

    def arrived(self, sender: str, item: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """A report at the peers."""
        self._console.print(
            f"[bold]3 arrival[/]  “{escape(self._title(item['subject']))}” from {sender} is known at {len(rows)} peers"
        )
        for row in rows[:1]:
            self._console.print(
                f"[bold]4 belief[/]   state {row['state']} · score {row['score']} · confidence {row['confidence']} · "
                f"independent reporters {row['reporters']} · tier {row['tier']} · effect {row['effect']:.2f}"
            )

    def trust_moved(self, change: TrustChange, decision: Mapping[str, Any]) -> None:
        """A decision that the network changed."""
        self._changes += 1
        if self._changes > CHANGE_LINES:
            return
        self._console.print(
            f"[bold]5 trust[/]    {change.organisation} · agent {escape(change.agent)} shows the same pattern: "
            f"[bold]{change.before:.2f} → {change.after:.2f}[/] (without the network {change.without_network:.2f}) · "
            f"local verdict {decision['verdict']} · response {decision['response']}"
        )

    def engine(self, organisation: str, event: Mapping[str, Any]) -> None:
        """An event that an engine heard over SSE."""
        if event["event"] != "trust" or event["cause"] != "network" or self._engines >= ENGINE_LINES:
            return
        self._engines += 1
        self._console.print(
            f"[bold]6 engine[/]   {organisation} over SSE, event #{event['seq']}: "
            f"trust in {escape(str(event['actor']))} {event['before']:.2f} → {event['after']:.2f}: "
            f"{escape(str(event['reason']))}"
        )

    def attacked(self, hostile: str, attacks: Mapping[str, int], quarantining: int) -> None:
        """What the hostile member tried, and who quarantined it."""
        tried = ", ".join(f"{name} × {count}" for name, count in attacks.items())
        self._console.print(
            f"[red bold]! attacks[/]  {hostile}: {tried}; its two histories are a proof: "
            f"{quarantining} nodes put it into quarantine"
        )

    def soc(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """What an analyst is answered: the feed of one organisation; as a list where a table has no room."""
        title = "7 SOC · GET /api/v1/indicators"
        if self._console.width < TABLE_COLUMNS:
            self._console.print(title)
            for row in rows[:SOC_ROWS]:
                figures = ", ".join(f"{name} {value}" for name, value in _figures(row).items())
                self._console.print(f"· {escape(self._title(str(row['id'])))}")
                self._console.print(f"  [dim]{escape(figures)}[/]")
            return
        table = Table(title=title, title_justify="left")
        for column in ("pattern", *SOC_FIGURES):
            table.add_column(column, overflow="fold")
        for row in rows[:SOC_ROWS]:
            table.add_row(escape(self._title(str(row["id"]))), *_figures(row).values())
        self._console.print(table)

    def closing(self, summary: Mapping[str, Any], *, network: bool) -> None:
        """The summary as a table, and whether the story is complete."""
        table = Table(title="what happened", show_header=False, box=None, title_justify="left")
        for name, value in _facts(summary, network=network).items():
            table.add_row(name, escape(value))
        self._console.print(table)
        if summary["story_complete"]:
            said = "[green bold]the story is complete[/]: one organisation's incident protected the others"
        elif not network and not summary["trust_changes"]:
            said = "[green bold]the control[/]: the network was cut, no report arrived, no trust moved because of one"
        else:
            said = f"[red bold]the story stopped at: {summary['broken_link']}[/]"
        self._console.print(said)

    def addresses(self, organisations: Sequence[Organisation]) -> None:
        """Consoles and tokens, for as long as the demo stays up."""
        self._console.print(
            "[bold]the nodes stay up until Ctrl-C; open a console and sign in with its token[/]"
        )
        for each in organisations:
            name = each.name + (" (hostile)" if each.hostile else "")
            # Never wrapped: a token that is cut in two cannot be copied.
            self._console.print(f"{name:16} {each.url}  {each.tokens['soc']}", soft_wrap=True)

    def ended(self, organisation: str, code: int | None) -> None:
        """A node that ended while the others stay up."""
        self._console.print(f"[red]{organisation}[/] ended (exit code {code}); the others go on")

    def failed(self, message: str) -> None:
        """Why the demo could not go on."""
        self._console.print(f"[red bold]demo: {escape(message)}[/]")

    def _title(self, pattern: str) -> str:
        return self._titles.get(pattern, pattern[:12])


def _facts(summary: Mapping[str, Any], *, network: bool) -> dict[str, str]:
    hostile, delay = summary["hostile"], summary["propagation_ms"]
    facts = {
        "sessions, actions": f"{summary['sessions']}, {summary['actions']}",
        "verdicts": ", ".join(f"{name} {count}" for name, count in summary["verdicts"].items()),
        "reports published, received": f"{summary['reports_published']}, {summary['reports_received']}",
        "engines heard": f"{summary['engine_events']} events over SSE",
        "the SOC sees": f"{summary['soc_objects']} indicators by TAXII",
    }
    if not network:
        return facts
    refused = ", ".join(f"{name} {count}" for name, count in hostile["refused"].items())
    where = "everywhere" if hostile["quarantined"] else "not everywhere"
    return facts | {
        "propagation": f"p50 {delay['p50']:.0f} ms, max {delay['max']:.0f} ms ({delay['n']} arrivals)",
        "first change of trust": f"{summary['first_trust_change_s']} s after the start",
        "hostile member's effect": f"{hostile['effect']:.2f}; refused: {refused}; quarantined {where}",
    }


def _figures(row: Mapping[str, Any]) -> dict[str, str]:
    """The figures of an indicator by their heads."""
    numbers = (str(row[name]) for name in ("score", "confidence", "reporters"))
    values = (str(row["state"]), *numbers, str(row["tier"]), f"{row['effect']:.2f}", str(row["local_hits"]))
    return dict(zip(SOC_FIGURES, values, strict=True))


def _pretty(body: str) -> str:
    return json.dumps(json.loads(body), indent=1, sort_keys=True)
