"""An attack: with all that was published and a dictionary of names, hosts and tools, nothing is found but by luck.

The attacker is a member, so it has the program, the taxonomy, the keys that all members have, the template of the
incident and the dictionary from which each victim was drawn. It tries three ways: to find a name or any usual digest of
it in the bytes; to learn from half of the records which bytes go with which victim, and to tell the other half; and to
try the dictionary against keyed fingerprints.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from ioint_node.demo.cast import SHIPPED
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.preview import preview_file
from ioint_node.privacy.fingerprints import FingerprintKey, fingerprint, why_guessable
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.scoring.model import load_model
from ioint_node.store.engine import Store
from ioint_taxonomy import load_catalogue, load_taxonomy

NOW = 1_795_000_000_000
INCIDENT = 8
TRIALS = 96
SIGMAS = 4.0
PEOPLE = (
    "alice.anders",
    "bogdan.bilic",
    "chiara.conti",
    "dmitri.danilov",
    "esra.erdem",
    "farid.fayed",
    "greta.graf",
    "hiro.hayashi",
)
HOSTS = (
    "db-01.fin",
    "db-02.hr",
    "mail-7.edge",
    "ci-runner-3",
    "vault-a.core",
    "nas-12.lab",
    "k8s-4.prod",
    "vpn-9.gate",
)
TOOLS = (
    "sap_lookup",
    "crm_fetch",
    "wiki_read",
    "jira_query",
    "hr_directory",
    "erp_status",
    "cms_page",
    "dwh_report",
)
DICTIONARY = (*PEOPLE, *HOSTS, *TOOLS)
KEY = FingerprintKey(epoch=2_950, key=bytes(range(32)))
DRAW = random.Random(71)  # noqa: S311 - victims, no secrets


@dataclass(frozen=True, kw_only=True)
class Victim:
    """Who and what stood in the incident."""

    person: str
    host: str
    tool: str


def incident(victim: Victim, number: int) -> dict[str, object]:
    """The demo's incident as it would have happened to this victim: in its texts, its arguments and its tools."""
    text = SHIPPED.read_text().splitlines()[INCIDENT - 1]
    for old, new in (
        ("hollis-freight", victim.person),
        ("Hollis Freight", victim.person),
        ("brackenfield", victim.host),
    ):
        text = text.replace(old, new)
    session: dict[str, object] = json.loads(text)
    events = session["events"]
    assert isinstance(events, list)
    call = {
        "kind": "tool_call",
        "tool": victim.tool,
        "arguments": {"host": victim.host, "user": victim.person},
    }
    answer = {"kind": "tool_result", "tool": victim.tool, "text": f"{victim.person} on {victim.host}"}
    session["events"] = [{"i": i, "t": i, **event} for i, event in enumerate([*events, call, answer])]
    session["session_id"] = f"s-{number}-{victim.person}"
    return session


@cache
def published(folder: Path) -> tuple[tuple[Victim, tuple[bytes, ...]], ...]:
    """Incidents of random victims, each with the exact bytes that a node would tell of it."""
    parts = ExchangeParts(
        store=Store.__new__(Store),  # nothing is read: what a file of sessions would tell needs no history
        member=None,
        record_key=None,
        roster=lambda: None,
        consortium=lambda: None,
        taxonomy=load_taxonomy(),
        catalogue=load_catalogue(),
        beliefs=Beliefs(),
        publish_mode="catalogue",
        detector=load_model().digest,
    )
    found = []
    for number in range(TRIALS):
        victim = Victim(person=DRAW.choice(PEOPLE), host=DRAW.choice(HOSTS), tool=DRAW.choice(TOOLS))
        source = folder / f"{number}.jsonl"
        source.write_text(json.dumps(incident(victim, number)) + "\n")
        told = preview_file(parts, source, load_model(), NOW)
        found.append((victim, tuple(base64.b64decode(record["bytes_b64"]) for record in told)))
    return tuple(found)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Sequence[tuple[Victim, tuple[bytes, ...]]]:
    return published(tmp_path_factory.mktemp("incidents"))


def traces(word: str) -> Iterator[bytes]:
    """What a name could have become: itself, its parts, and the usual digests, plain and keyed as members could."""
    forms = {word, word.upper(), word.replace(".", "_"), *word.replace("_", ".").split(".")}
    for form in (one.encode() for one in forms if len(one) > 3):
        yield form
        yield base64.b64encode(form).rstrip(b"=")[:8]
        yield form.hex().encode()
        for name in ("md5", "sha1", "sha256", "sha512", "blake2b"):
            yield hashlib.new(name, form).hexdigest()[:10].encode()
        yield hmac.digest(KEY.key, form, "sha256").hex()[:10].encode()
        yield hashlib.blake2b(form, key=KEY.key, digest_size=16).hexdigest()[:10].encode()


def test_every_incident_told_something(records: Sequence[tuple[Victim, tuple[bytes, ...]]]) -> None:
    assert all(bodies for _, bodies in records)


def test_no_word_of_the_dictionary_and_no_digest_of_one_is_in_what_was_published(
    records: Sequence[tuple[Victim, tuple[bytes, ...]]],
) -> None:
    everything = b"\n".join(body for _, bodies in records for body in bodies)
    assert {word for word in DICTIONARY for trace in traces(word) if trace in everything} == set()


@pytest.mark.parametrize("what", ["person", "host", "tool"])
def test_who_learns_from_half_of_the_records_tells_the_victims_of_the_others_no_better_than_by_luck(
    records: Sequence[tuple[Victim, tuple[bytes, ...]]], what: str
) -> None:
    half = len(records) // 2
    seen: dict[tuple[bytes, ...], Counter[str]] = defaultdict(Counter)
    whole: Counter[str] = Counter()
    for victim, bodies in records[:half]:
        seen[bodies][getattr(victim, what)] += 1
        whole[getattr(victim, what)] += 1
    # The best guess: the victim that most often had these very bytes, else the most frequent one.
    hits = sum(
        (seen.get(bodies) or whole).most_common(1)[0][0] == getattr(victim, what)
        for victim, bodies in records[half:]
    )
    tried = len(records) - half
    luck = 1 / len(PEOPLE)
    assert hits <= tried * luck + SIGMAS * math.sqrt(tried * luck * (1 - luck))


def test_the_same_attack_finds_the_victim_where_a_name_does_leave(
    records: Sequence[tuple[Victim, tuple[bytes, ...]]],
) -> None:
    """The attack is worth something: a record that held a digest of the person would be read at once."""
    leaking = [(victim, hashlib.sha256(victim.person.encode()).hexdigest().encode()) for victim, _ in records]
    found = [
        person
        for victim, body in leaking
        for person in PEOPLE
        if any(trace in body for trace in traces(person))
    ]
    assert len(found) == len(records)


def test_no_word_of_the_dictionary_has_a_keyed_fingerprint(
    records: Sequence[tuple[Victim, tuple[bytes, ...]]],
) -> None:
    assert all(why_guessable(word) for word in DICTIONARY)
    token = hashlib.sha256(b"a token of 248 bits").hexdigest()[:62]
    assert fingerprint(token, KEY).mac not in {
        hashlib.blake2b(word.encode(), digest_size=16, key=KEY.key, person=b"ioint fps").hexdigest()
        for word in DICTIONARY
    }
