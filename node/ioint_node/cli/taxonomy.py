"""`ioint taxonomy`: the vocabulary in the forms of other tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
from ioint_taxonomy import Taxonomy, load_taxonomy

from ioint_node.cli.options import Commands, emit, format_option
from ioint_node.errors import ConfigError
from ioint_node.formats import vocabulary

# Form → where each file goes, below the directory: as the repositories of MISP have them.
FORMS: Final[Mapping[str, Callable[[Taxonomy], dict[str, Any]]]] = {
    "misp-taxonomy": lambda taxonomy: {"ioint/machinetag.json": vocabulary.machinetag(taxonomy)},
    "misp-galaxy": lambda taxonomy: {
        f"galaxies/{vocabulary.GALAXY}.json": vocabulary.galaxy(),
        f"clusters/{vocabulary.GALAXY}.json": vocabulary.clusters(taxonomy),
    },
    "misp-object": lambda _: {
        f"objects/{vocabulary.OBJECT_NAME}/definition.json": vocabulary.object_template()
    },
}


@click.group(cls=Commands, short_help="The vocabulary in the forms of other tools.")
def taxonomy() -> None:
    """The vocabulary in the forms of other tools."""


@taxonomy.command()
@click.option(
    "--form", "named", type=click.Choice(tuple(FORMS)), required=True, help="What is to be installed."
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The directory below which the files go; made where it is not there.",
)
@format_option
def export(*, named: str, output: Path, form: str) -> None:
    """Write the vocabulary as files that MISP installs."""
    written = []
    for name, content in FORMS[named](load_taxonomy()).items():
        path = output / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written ({error.strerror}): name another --output") from None
        written.append(str(path))
    emit({"written": written}, form=form, human=lambda: click.echo("\n".join(written)))
