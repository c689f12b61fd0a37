"""Which public subjects local servers, tools and models are: what members report of one acts where it is used here.

An operator maps a local name to a package URL (setting `subjects`). An action through that server or tool, or of an
actor of that model, then meets the subject under every name that a report may have for it: the version as it is, as
reports leave with it, and none. Local names stay here: nothing but the public one is compared or kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from ioint_protocol.records import PUBLIC_SUBJECT

from ioint_node.privacy.names import generalised, name_of
from ioint_node.reputation.subjects import folded
from ioint_node.scoring.composition import model_mark, model_of

KINDS: Final = ("server", "tool", "model")
NAME_CHARS: Final = 256
SUBJECTS_MOST: Final = 256  # local names that are mapped
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSubjects:
    """The names of public subjects, by local server and tool name and by the mark of a model."""

    servers: Mapping[str, Names] = field(default_factory=dict, repr=False)
    tools: Mapping[str, Names] = field(default_factory=dict, repr=False)
    models: Mapping[bytes, Names] = field(default_factory=dict, repr=False)

    def met(self, *, tool: str | None, server: str | None, made_of: bytes) -> Names:
        """What an action meets: by its tool and server, and by what its actor is made of (`composition.parts_of`)."""
        if not (self.servers or self.tools or self.models):
            return ()
        return (
            *self.servers.get(server or "", ()),
            *self.tools.get(tool or "", ()),
            *self.models.get(model_of(made_of), ()),
        )


NO_SUBJECTS: Final = LocalSubjects()


def known_as(subject: str) -> Names:
    """Every name that a report may have for this package URL: itself, without its patch version, without any.

    Each as it is written and as its registry has one spelling for it.
    """
    spelled = (subject, folded(subject))
    return tuple(dict.fromkeys(made for one in spelled for made in (one, generalised(one), name_of(one))))


def parse_subjects(texts: Collection[str]) -> LocalSubjects:
    """The mapping of texts like `server:NAME=pkg:npm/…`, `tool:NAME=…`, `model:NAME=…`; one name may have several.

    Raises:
        ValueError: too many, another form, or no package URL of a public registry.
    """
    if len(texts) > SUBJECTS_MOST:
        raise ValueError(f"{len(texts)} names: map at most {SUBJECTS_MOST}")
    found: dict[str, dict[str, Names]] = {kind: {} for kind in KINDS}
    for text in texts:
        local, mapped, subject = text.partition("=pkg:")
        kind, _, name = local.partition(":")
        if not mapped or kind not in KINDS or not 1 <= len(name) <= NAME_CHARS:
            raise ValueError(f"{text[:64]!r}: write server:NAME=pkg:…, tool:NAME=pkg:… or model:NAME=pkg:…")
        if not PUBLIC_SUBJECT.fullmatch(f"pkg:{subject}"):
            raise ValueError(
                f"{text[:64]!r}: write a package URL of a public registry, such as pkg:npm/left-pad"
            )
        known = found[kind].get(name, ())
        found[kind][name] = tuple(dict.fromkeys((*known, *known_as(f"pkg:{subject}"))))
    return LocalSubjects(
        servers=found["server"],
        tools=found["tool"],
        models={model_mark(name): names for name, names in found["model"].items()},
    )
