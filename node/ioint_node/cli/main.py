"""The commands by name, the one place where failures become exit codes, and nothing heavy to import."""

from __future__ import annotations

import difflib
import importlib
import json
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import click
from click.exceptions import NoArgsIsHelpError

from ioint_node.errors import NodeError, PredictionError

STOPPED: Final = ("stopped", "run the command again")
NAME_CHARS: Final = 64
OTHERS: Final = 0o077  # the mode bits of everybody but the owner

# Name → module, attribute, what it does. Only the module of the command that is called is imported.
COMMANDS: Final = {
    "agents": ("agents", "agents", "Agents, people and workloads on this node, and the trust in each."),
    "approvals": ("approvals", "approvals", "What waits for a person: list it, decide it."),
    "bench": ("bench", "bench", "What this node does on this machine, beside its floors and peers."),
    "consortium": ("consortium", "consortium", "Make, join and steer a consortium."),
    "db": ("database", "db", "The database's schema."),
    "demo": ("demo", "demo", "A consortium on this machine, one member hostile, and the story it tells."),
    "doctor": ("doctor", "doctor", "Check everything that this node needs, and say how to repair it."),
    "explain": ("agents", "explain", "One session, action by action: verdicts, reasons, trust, network."),
    "filters": ("filters", "filters", "Filters with a name, and what a filter says."),
    "incidents": (
        "incidents",
        "incidents",
        "Own sessions that contain what others warn of, and what we make of them.",
    ),
    "indicators": ("indicators", "indicators", "What goes round, and what we say about it."),
    "init": ("init", "init", "Make a node: settings, keys, database, a token for this machine."),
    "mcp-proxy": (
        "mcp_proxy",
        "mcp_proxy",
        "An MCP server behind the node, for clients that know of neither.",
    ),
    "peers": (
        "consortium",
        "peers",
        "The other members: connected, lag, last success, what was refused and why.",
    ),
    "policy": ("policy", "policy", "What is enforced, what it would have done, and what an intent may do."),
    "preview": (
        "preview",
        "preview",
        "The exact bytes that would leave, field by field, and why each is safe.",
    ),
    "public": ("public", "public", "What is published for everybody, signed: see it, verify it."),
    "run": ("run", "run", "Run the node until it is told to stop."),
    "score": ("lab", "score", "Score a file of sessions with the shipped model."),
    "simulate": (
        "simulate",
        "simulate",
        "Attack the reputation rule in simulated consortia, beside other rules.",
    ),
    "status": ("status", "status", "Whether the node runs, where, and with whom it exchanges."),
    "streams": ("streams", "streams", "Who hears security events (SSF), and the key that signs them."),
    "support-dump": (
        "support",
        "support_dump",
        "Versions, settings and counts for somebody who helps; nothing that was seen.",
    ),
    "taxonomy": ("taxonomy", "taxonomy", "The vocabulary in the forms of other tools."),
    "token": ("tokens", "token", "Tokens for agents, engines, analysts and administrators."),
    "train": ("lab", "train", "Train the model on files of labelled sessions."),
    "webhooks": ("webhooks", "webhooks", "Where the stream is posted to, how that goes, what was given up."),
    "why": ("why", "why", "The receipt for a pattern's number: whose voices, which rule."),
}


class LazyCommands(click.Group):
    """A group that knows its commands by the table and imports one only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"ioint_node.cli.{module}"), attribute)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; an unknown name is answered with the nearest one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            ctx.fail(
                f"no such command {name[:NAME_CHARS]!r}" + (f": did you mean {near[0]}?" if near else "")
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])


@click.command(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ioint", message="%(version)s")
def ioint() -> None:
    """IOINT: score what AI agents do against what they declared, and warn the others.

    A node lives in one directory: --home, else $IOINT_HOME, else ~/.ioint. Begin with `ioint demo`, or with
    `ioint init --org NAME`.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code."""
    os.umask(OTHERS)  # whatever a command makes is for its owner alone, journals of the database too
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = ioint.main(args=words, prog_name="ioint", standalone_mode=False)
    except NoArgsIsHelpError as error:  # the question of somebody who looks round: no fault is told
        click.echo(error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "ioint"
        return _fail(words, error.format_message(), f"see `{path} --help`", code=2)
    except BrokenPipeError:  # the reader of our output has gone, and so has the reason to print
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _fail(words, *STOPPED, code=1)
    except Exception as error:
        told = _told(error)
        if told is None:
            raise  # a bug: its traceback says where
        # The message may name what a file or a peer said.
        from ioint_node.cli.options import printable  # noqa: PLC0415 - as above

        message, remedy = told
        return _fail(words, printable(message), remedy, code=1)
    return result if isinstance(result, int) else 0


def _told(error: Exception) -> tuple[str, str] | None:
    """What happened, and what to do where the message does not say it; None when it is a bug."""
    # Who asks for help or mistypes an option does not wait for the protocol to be imported.
    from ioint_protocol.errors import ProtocolError  # noqa: PLC0415
    from ioint_taxonomy.errors import TaxonomyError  # noqa: PLC0415

    told: tuple[str, str] | None = None
    match error:
        case PredictionError():
            told = (
                str(error),
                "correct that line (docs/sessions.md says what a session is), then run the command again",
            )
        case ProtocolError() | TaxonomyError():
            told = str(error), "install this release anew: its data or its input is damaged"
        case OSError():
            told = str(error), "check the file or port that it names, its owner, and the space left"
        case click.ClickException():
            told = error.format_message(), ""
        case NodeError():
            told = str(error), ""
        case click.Abort():
            told = STOPPED
    return told


def _fail(words: Sequence[str], message: str, remedy: str, *, code: int) -> int:
    click.echo(f"ioint: {message}", err=True)
    if remedy:
        click.echo(f"ioint: {remedy}", err=True)
    if _asks_for_json(words):
        click.echo(json.dumps({"error": message, **({"remedy": remedy} if remedy else {})}))
    return code


def _asks_for_json(words: Sequence[str]) -> bool:
    return any(
        word in {"-ojson", "--format=json"} or (word in {"-o", "--format"} and following == "json")
        for word, following in pairwise([*words, ""])
    )
