"""`ioint score` and `ioint train`: the detector without a node."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ioint_node.cli.options import check_place, emit, format_option, show_fields
from ioint_node.cli.progress import progress
from ioint_node.scoring.predict import predict_file
from ioint_node.scoring.train import train_files

_SESSIONS = click.Path(exists=True, dir_okay=False, path_type=Path)
_RESULT = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command(short_help="Score a file of sessions with the shipped model.")
@click.option("--input", "source", type=_SESSIONS, required=True, help="Sessions, JSONL or JSONL.gz.")
@click.option("--output", "target", type=_RESULT, required=True, help="One line of predictions per session.")
@format_option
def score(*, source: Path, target: Path, form: str) -> None:
    """Score a file of sessions with the shipped model.

    Each session is judged alone, each action by what came before it; a label in the file is never read. A malformed
    line is named, and then no output file is written.
    """
    check_place(target)
    started = time.monotonic()
    with progress("scoring") as tell:
        sessions = predict_file(source, target, tell)
    _done(
        {"sessions": sessions, "output": str(target), "seconds": round(time.monotonic() - started, 3)}, form
    )


@click.command(short_help="Train the model on files of labelled sessions.")
@click.option(
    "--data", type=_SESSIONS, multiple=True, required=True, help="A file of sessions; more may follow."
)
@click.argument("more", nargs=-1, type=_SESSIONS, metavar="[FILE]...")
@click.option("--output", "target", type=_RESULT, required=True, help="The model, as JSON.")
@format_option
def train(*, data: tuple[Path, ...], more: tuple[Path, ...], target: Path, form: str) -> None:
    """Train the model on files of labelled sessions.

    The same files give the same bytes on one architecture with the locked versions.
    """
    check_place(target)
    started = time.monotonic()
    with progress("training") as tell:
        result = dict(train_files([*data, *more], target, tell))
    _done({**result, "output": str(target), "seconds": round(time.monotonic() - started, 3)}, form)


def _done(result: dict[str, object], form: str) -> None:
    emit(result, form=form, human=lambda: show_fields(result))
