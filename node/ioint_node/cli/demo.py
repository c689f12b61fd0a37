"""`ioint demo`."""

from __future__ import annotations

from pathlib import Path

import click

from ioint_node.cli.options import Whole, format_option
from ioint_node.demo import DemoOptions, run_demo
from ioint_node.errors import ConfigError
from ioint_node.scoring.predict import read_sessions


@click.command(short_help="A consortium on this machine, one member hostile, and the story it tells.")
@click.option("--orgs", type=Whole(4, 20), default=5, show_default=True, help="The hostile one counts.")
@click.option(
    "--sessions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Replay this file of sessions (docs/sessions.md) instead of the demo's own.",
)
@click.option(
    "--cut-network", is_flag=True, help="The same without the network: no trust moves because of it."
)
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the nodes' homes here.")
@click.option(
    "--exit", "leave", is_flag=True, help="End with the summary instead of staying up until Ctrl-C."
)
@format_option
def demo(
    *, orgs: int, sessions: Path | None, cut_network: bool, keep: Path | None, leave: bool, form: str
) -> int:
    """A consortium on this machine, one member hostile, and the story it tells.

    Every organisation is a process of its own with its own home, keys and database; they meet over libp2p on
    loopback. Exit code 0 only when the story is complete; with --cut-network it never is.
    """
    if sessions is not None and not sum(1 for _ in read_sessions(sessions)):
        raise ConfigError(f"{sessions} holds no session: docs/sessions.md says what a file of sessions is")
    return run_demo(
        DemoOptions(
            organisations=orgs,
            sessions=sessions,
            cut_network=cut_network,
            keep=keep,
            exit=leave,
            json=form == "json",
        )
    )
