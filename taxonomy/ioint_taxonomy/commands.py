"""What a shell command line or a database statement does, from its first words.

This is a reading, not a parser: it finds the commands of a line at its separators, looks their heads up, and answers
with the one of greatest effect. A line it does not understand stays what it was, an execution.
"""

from __future__ import annotations

import re

from ioint_taxonomy.lexicon import load_lexicon
from ioint_taxonomy.release import load_taxonomy

COMMAND_CHARACTERS = 2048
COMMANDS_EXAMINED = 16

_SEPARATOR = re.compile(r"&&|\|\||[;|\n&]|\$\(|`")
_HEAD_WORD = re.compile(r"[\w./+-]+")
_ASSIGNMENT = re.compile(r"\A\s*(?:\w+=\S*\s+)+")
_REDIRECTION = re.compile(r"(?<![0-9&])>{1,2}\s*(?!/dev/null|&)\S")
_UPLOAD = re.compile(
    r"(?:\A|\s)(?:-d|--data\S*|-F|--form|-T|--upload-file|--post-file\S*|-X\s*(?:POST|PUT))\b"
)
_PIPED_TO_SHELL = re.compile(r"\b(?:curl|wget)\b[^|;&\n]*\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b")
_PREFIXES = frozenset({"sudo", "time", "env", "nohup", "command", "exec"})
_EFFECT_ORDER = ("derive", "observe", "mutate", "run", "authority", "transfer", "value")
_COMMENT = re.compile(r"\A(?:\s|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)


def read_command(text: str) -> tuple[str, str] | None:
    """Verb and resource of a shell command line, or None where no command of it is known."""
    if _PIPED_TO_SHELL.search(text, 0, COMMAND_CHARACTERS):
        # What is fetched and run in one breath becomes part of the machine.
        return ("install", "software_package")
    effects = load_taxonomy().verbs
    found = [
        kind
        for part in _SEPARATOR.split(text[:COMMAND_CHARACTERS])[:COMMANDS_EXAMINED]
        if part.strip() and (kind := _read_one(part)) is not None
    ]
    return max(found, key=lambda kind: _EFFECT_ORDER.index(effects[kind[0]]), default=None)


def read_code(text: str) -> tuple[str, str] | None:
    """Verb and resource of a piece of program text by the calls it names, the strongest, or None."""
    text = text[:COMMAND_CHARACTERS].lower()
    effects = load_taxonomy().verbs
    found = [kind for mark, kind in load_lexicon().code if mark in text]
    if "open(" in text or ("execute", "process") in found:
        found = [one for one in (standing_effect(text),) if one is not None] + found
    return max(found, key=lambda kind: _EFFECT_ORDER.index(effects[kind[0]]), default=None)


def read_query(text: str) -> str | None:
    """The verb of a database statement, or None where its first word is none of the language's."""
    sql = load_lexicon().sql
    verbs = []
    for statement in text[:COMMAND_CHARACTERS].split(";")[:COMMANDS_EXAMINED]:
        words = _COMMENT.sub("", statement).split(None, 1)
        if words and words[0].lower() in sql:
            verbs.append(sql[words[0].lower()])
    effects = load_taxonomy().verbs
    return max(verbs, key=lambda verb: (_EFFECT_ORDER.index(effects[verb]), verb == "delete"), default=None)


def _read_one(part: str) -> tuple[str, str] | None:
    words = [word.rsplit("/", 1)[-1].lower() for word in _HEAD_WORD.findall(_ASSIGNMENT.sub("", part))[:4]]
    while words and words[0] in _PREFIXES and len(words) > 1:
        words = words[1:]
    if not words:
        return None
    shell = load_lexicon().shell
    kind = (shell.get(f"{words[0]}_{words[1]}") if len(words) > 1 else None) or shell.get(words[0])
    if kind == ("read", "web_page") and _UPLOAD.search(part):
        return ("send", "web_page")
    if kind is not None and kind[0] in ("compute", "read") and _REDIRECTION.search(part):
        return standing_effect(part.lower()) or ("create", "file")
    if kind is not None and kind[0] in ("create", "update"):
        return standing_effect(part.lower()) or kind
    return kind


def standing_effect(text: str) -> tuple[str, str] | None:
    """What writing to a path of this text brings about beyond a file: access, or something that runs later; or None."""
    lexicon = load_lexicon()
    if lexicon.access_paths.search(text):
        return ("grant", "permission")
    if lexicon.standing_paths.search(text):
        return ("schedule", "process")
    return None
