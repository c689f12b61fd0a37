"""The keys of this node beside those that the roster names for it: what is missing, and which change is under way."""

from __future__ import annotations

from ioint_protocol import Member, Roster, Steward

from ioint_node.config import Keys


def missing_key(keys: Keys, roster: Roster) -> str | None:
    """The first key that the roster names for this node and that is not here, with what to do; None: all are."""
    listed, seat = roster.member(keys.member), _seat(keys, roster)
    own = {bytes(key.verify_key).hex() for key in keys.record_keys}
    if listed is not None and listed.node_key not in _held(keys, "node", keys.node_public):
        return (
            "the roster names another node key than keys/node.key, so nobody lets this node in: put that one back, "
            "or let a steward admit the file of `ioint consortium card`"
        )
    if listed is not None and listed.record_key not in own:
        return (
            "the record key that the roster names for this member is not here: put it back, "
            "or ask a steward to put another in its place (docs/consortium.md, Recover)"
        )
    if seat is not None:
        named = {"steward": (keys.steward_key, seat.steward_key), "clock": (keys.clock_key, seat.clock_key)}
        for name, (key, wanted) in named.items():
            if wanted not in _held(keys, name, None if key is None else bytes(key.verify_key)):
                return (
                    f"the roster names this member as a steward, and keys/{name}.key is gone or another: put it back, "
                    "or let another steward seat it anew (docs/consortium.md, Recover)"
                )
    return None


def under_way(keys: Keys, roster: Roster, height: int) -> tuple[str, ...]:
    """Each change of this node's keys that is not over, with what it waits for; `height` is of its own log."""
    listed, seat = roster.member(keys.member), _seat(keys, roster)
    if listed is None:
        return ()
    return (
        *_of_node_key(keys, listed),
        *_of_record_key(keys, listed, height),
        *(_of_seat(keys, seat) if seat is not None else ()),
    )


def _of_node_key(keys: Keys, listed: Member) -> tuple[str, ...]:
    if (waiting := keys.next_key("node")) is None:
        return ()
    if bytes(waiting.verify_key).hex() == listed.node_key:
        return ("the roster names the new node key: start the node, which takes it up",)
    return (
        "a new node key waits until the roster names it: give a steward the file of `ioint consortium card`",
    )


def _of_record_key(keys: Keys, listed: Member, height: int) -> tuple[str, ...]:
    begins = max(keys.later_record_seeds, default=0)
    if keys.record_public.hex() != listed.record_key:
        late = "; records wait for that" if height + 1 >= begins else ""
        return (
            f"a new record key is to sign from segment {begins} on, {height} are signed, and the roster does not "
            f"name it yet: give a steward the file of `ioint consortium card`{late}",
        )
    if height + 1 < begins:
        return (f"the new record key signs from segment {begins} on; {height} are signed, by the old one",)
    return ()


def _of_seat(keys: Keys, seat: Steward) -> tuple[str, ...]:
    waiting = keys.next_key("steward")
    if waiting is None or bytes(waiting.verify_key).hex() == seat.steward_key:
        return ()
    return ("new steward's keys wait until enough stewards have signed the proposal that names them",)


def _held(keys: Keys, name: str, public: bytes | None) -> set[str]:
    """In hex the public key that is in use, and the one that waits to take its place."""
    waiting = keys.next_key(name)
    found = (public, None if waiting is None else bytes(waiting.verify_key))
    return {each.hex() for each in found if each is not None}


def _seat(keys: Keys, roster: Roster) -> Steward | None:
    return next((steward for steward in roster.council if steward.member == keys.member), None)
