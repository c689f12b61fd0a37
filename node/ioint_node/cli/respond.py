"""`ioint agents respond`: a person halts an actor, or lets it go on."""

from __future__ import annotations

from pathlib import Path

import click

from ioint_node.cli.client import connect
from ioint_node.cli.names import or_see
from ioint_node.cli.options import emit, node_options, show_fields

ACTIONS = ("interrupt", "suspend", "relaunch", "kill", "release")


@click.command()
@click.argument("actor")
@click.option("--action", type=click.Choice(ACTIONS), required=True, help="What is to happen to it.")
@click.option("--reason", default="", help="Why, in words that whoever runs it will read.")
@node_options
def respond(*, home: Path, form: str, actor: str, action: str, reason: str) -> None:
    """Interrupt, suspend, relaunch or kill an actor, or release it.

    Orchestrators are told at once, by stream and webhook. Where the node enforces, a halted actor is refused every
    action of every session until it is released.
    """
    with or_see("ioint agents show ACTOR"):
        answer = connect(home).post(
            "api", "v1", "agents", actor, "respond", body={"action": action, "reason": reason}
        )
    emit(answer, form=form, human=lambda: show_fields(answer))
