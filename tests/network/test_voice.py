"""Which of two node keys is spoken with, by who is connected and for how long nobody was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest
from ioint_node.config import Keys
from ioint_node.peers import Exchange
from ioint_node.voice import LONELY_S, TELL_S, Voice

OLD, NEW, RECORD = b"o" * 32, b"n" * 32, b"r" * 32
ONE = Keys(node_seed=OLD, record_seed=RECORD)
ROTATING = Keys(node_seed=OLD, record_seed=RECORD, next_seeds={"node": NEW})
SETTLED = Keys(node_seed=NEW, record_seed=RECORD)
LONELY_MS, TELL_MS = int(LONELY_S * 1000), int(TELL_S * 1000)


@dataclass
class Spoken:
    seed: bytes = OLD
    others: set[str] = field(default_factory=set)

    def connected(self) -> set[str]:
        return self.others

    def speak_as(self, seed: bytes) -> None:
        self.seed = seed


@pytest.fixture
def spoken() -> Spoken:
    return Spoken()


@pytest.fixture
def voice(spoken: Spoken) -> Voice:
    return Voice(cast(Exchange, spoken), 0)


def test_with_nobody_connected_the_keys_are_tried_in_turn(voice: Voice, spoken: Spoken) -> None:
    tried = []
    for turn in range(1, 4):
        assert not voice.look(ROTATING, turn * LONELY_MS - 1)
        assert voice.look(ROTATING, turn * LONELY_MS)
        tried.append(spoken.seed)
    assert tried == [NEW, OLD, NEW]


def test_who_is_heard_under_either_key_stays_with_it(voice: Voice, spoken: Spoken) -> None:
    spoken.others = {"m"}
    assert not voice.look(ROTATING, 10 * LONELY_MS)
    spoken.others = set()
    assert not voice.look(ROTATING, 11 * LONELY_MS - 1)


def test_with_one_key_there_is_nothing_to_try(voice: Voice) -> None:
    assert not voice.look(ONE, 10 * LONELY_MS)


def test_a_key_that_was_made_just_now_waits_its_turn(voice: Voice) -> None:
    assert not voice.look(ONE, 10 * LONELY_MS)
    assert not voice.look(ROTATING, 11 * LONELY_MS - 1)


def test_a_replaced_key_goes_as_soon_as_nobody_is_left_to_tell(voice: Voice, spoken: Spoken) -> None:
    assert voice.look(SETTLED, 1)
    assert spoken.seed == NEW


def test_a_replaced_key_tells_who_is_connected_for_a_while_and_no_longer(
    voice: Voice, spoken: Spoken
) -> None:
    spoken.others = {"m"}
    assert not voice.look(SETTLED, 1)
    assert not voice.look(SETTLED, TELL_MS)
    assert voice.look(SETTLED, TELL_MS + 1)
    assert spoken.seed == NEW
