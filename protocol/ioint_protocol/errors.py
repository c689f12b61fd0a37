"""Whose fault it is: here always the peer's, or that of whoever made the bytes.

    ProtocolError    bytes or values that the protocol refuses; `name` is one of `REFUSALS`

Refusal names are part of the protocol (SPEC, "Refusals"): counters, vectors and answers between members use them.
"""

from __future__ import annotations

from typing import Final

REFUSALS: Final = frozenset(
    {
        "too_large",  # more bytes than the named bound
        "bad_frame",  # magic, version, lengths or trailing bytes of a binary frame
        "not_canonical",  # not the one encoding of its value
        "bad_value",  # outside the value set, or nested too deep
        "bad_shape",  # not the fields that this object has: one missing, one too many, or of another type
        "bad_field",  # a field outside its form or range
        "bad_pattern",  # not a pattern of the language
        "bad_key",  # a public key that is no point of the prime-order group
        "bad_signature",
        "unknown_algorithm",
        "unknown_signer",  # signed under a key that the roster does not name for this
        "duplicate_signer",  # one key, two signatures
        "below_threshold",  # fewer distinct keys signed a roster's file than its role demands
        "unknown_member",
        "inactive_member",  # suspended or removed
        "bad_root",  # record bodies that the signed root does not cover
        "duplicate_record",  # one body twice in a segment
        "no_equivocation",  # two headers that prove nothing
        "wrong_consortium",
        "rollback",  # an older roster or file of one than the trusted, or a `low` lower than that of the segment before
        "expired",  # a roster's file that is out of date
        "missing_file",  # a roster's file that another one, or the order of versions, asks for
        "mixed_files",  # a roster's file that is not the one which the signed file before it names
        "roster_fork",  # another roster of the trusted version
        "member_changed",  # a field that is fixed at admission differs, or a member disappeared unremoved
    }
)


class ProtocolError(Exception):
    """Something that the protocol refuses; `name` says what, the message gives value and bound."""

    def __init__(self, name: str, message: str) -> None:
        if name not in REFUSALS:
            raise ValueError(f"{name!r} is not a refusal name")
        super().__init__(f"{name}: {message}")
        self.name = name

    def __reduce__(self) -> tuple[type[ProtocolError], tuple[str, str]]:
        return type(self), (self.name, str(self).removeprefix(f"{self.name}: "))
