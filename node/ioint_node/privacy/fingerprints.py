"""Keyed fingerprints of values that nobody can guess: a token, a wallet address, a digest of a file.

Every member has the key, so a keyed digest hides a value from members only as long as they cannot try all values that
it could be. A name, a host, a tool or an account number is found in seconds. So a value is taken only when an estimate
that errs low gives it 80 bits: letters that could be words count for nothing, and what has a structure is refused
whatever its length. So is a digest in hexadecimal, which is as guessable as what it is of, and a text that is encoded.
What no estimate can tell is a digest that is written like a token: whoever pastes one has to know what it is of.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import math
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from ioint_protocol import Fingerprint

SCHEME: Final = "blake2b"
KEY_BYTES: Final = 32
LEAST_BITS: Final = 80.0
LEAST_CHARS: Final = 20
MOST_CHARS: Final = 1_024
DIGITS_MOST: Final = 0.85  # of all characters: beyond, it is a number with a few letters
WORD_CHARS: Final = 4  # letters of one case in a row that could be a word, or a piece of one
TEXT_SHARE: Final = 0.9  # of decoded bytes that are printable: beyond, they are a text
ACCOUNT_DIGITS: Final = 40
_DIGEST_DIGITS: Final = frozenset({32, 40, 48, 56, 64, 96, 128})
_PERSON: Final = b"ioint fps"
_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-(?P<version>[0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\Z"
)
# Digits that are written for letters.
_FOLDED: Final = str.maketrans("01345789@$!", "oleastbgasi")
_HEX: Final = re.compile(r"(?:0x)?[0-9A-Fa-f]+\Z")
_RUN: Final = re.compile(r"[a-z]+|[A-Z]+|.", re.DOTALL)
# Each names what it is: a value of a known form has far fewer possibilities than its characters suggest.
_FORMS: Final = (
    ("white space: it is text", re.compile(r".*\s", re.DOTALL)),
    ("an @: it is an address or a handle", re.compile(r".*@", re.DOTALL)),
    ("the form of a bank account", re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\Z")),
    ("a scheme: it is a URL", re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/?/", re.DOTALL)),
    (
        "the form of a host or a file",
        re.compile(r"(?:[\w-]+\.)+[A-Za-z]{2,16}(?::\d+)?(?:/.*)?\Z", re.DOTALL),
    ),
    ("the form of a path", re.compile(r"(?:[A-Za-z]:\\|~?/|\.{1,2}/)", re.DOTALL)),
    ("the form of a date", re.compile(r"\d{4}-\d{2}-\d{2}[T ]?", re.DOTALL)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerprintKey:
    """The consortium's key of one epoch: its number, and 32 bytes that every member has and nobody else."""

    epoch: int
    key: bytes = field(repr=False)


def fingerprint(value: str, key: FingerprintKey) -> Fingerprint:
    """The keyed BLAKE2b digest of a value, 16 bytes; digits of a hexadecimal number count the same in both cases.

    Raises:
        ValueError: the value could be guessed; the message says why and does not repeat it.
    """
    refusal = why_guessable(value)
    if refusal is not None:
        raise ValueError(refusal)
    taken = value.lower().removeprefix("0x") if _HEX.match(value) else value
    mac = hashlib.blake2b(taken.encode(), digest_size=16, key=key.key, person=_PERSON).hexdigest()
    return Fingerprint(scheme=SCHEME, epoch=key.epoch, mac=mac)


def why_guessable(value: str) -> str | None:
    """Why others could find a value by trying; None when it has at least `LEAST_BITS` of entropy."""
    if not LEAST_CHARS <= len(value) <= MOST_CHARS:
        return f"it has {len(value)} characters: only {LEAST_CHARS} to {MOST_CHARS} are taken"
    form = _form_of(value)
    if form is not None:
        return f"it has {form}"
    rest = ".".join(part for part in re.split(r"[.:]", value) if not _encodes_text(part))
    bits = entropy_bits(rest)
    if bits < LEAST_BITS:
        return f"about {bits:.0f} bits of entropy, fewer than {LEAST_BITS:.0f}"
    return None


def _form_of(value: str) -> str | None:
    """What a value has that makes it one of few; None when nothing is known to."""
    if not value.isascii() or not value.isprintable():
        return "other characters than printable ASCII"
    if _is_address(value):
        return "the form of a network address"
    if sum(map(str.isdigit, value)) > DIGITS_MOST * len(value):
        return "hardly a letter: it is a number"
    if _is_digest(value):
        return "the form of a digest, which is as guessable as what it is of"
    if (made := _UUID.match(value.lower())) and made["version"] != "4":
        return "the form of a UUID that is made of a name or a time"
    return next((name for name, pattern in _FORMS if pattern.match(value)), None)


def entropy_bits(value: str) -> float:
    """An estimate of a value's entropy that errs low, in bits.

    Of characters that are no separators and in no run of letters that could be a word: their number, times the
    empirical entropy of one of them (Shannon 1948), times the share of triples of characters that differ. Characters
    that follow the one before them in the alphabet, or repeat it, do not count.
    """
    # Of a hexadecimal number the letters are digits; anywhere else a digit may be written for a letter.
    plain = value if _HEX.match(value.replace("-", "")) else value.translate(_FOLDED)
    runs = [run for run in _RUN.findall(plain) if run.isalnum() and not _could_be_word(run)]
    counted = "".join(run for run in runs)
    steps = [after for before, after in pairwise(counted) if abs(ord(after) - ord(before)) > 1]
    kept = "".join([counted[:1], *steps])
    if len(kept) < LEAST_CHARS // 2:
        return 0.0
    triples = [kept[index : index + 3] for index in range(len(kept) - 2)]
    return len(kept) * _per_character(kept) * len(set(triples)) / len(triples)


def _is_digest(value: str) -> bool:
    """Whether it has the form of a digest in hexadecimal; `0x` and 40 digits is how a public account is written."""
    digits = value.lower().removeprefix("0x")
    account = digits != value.lower() and len(digits) == ACCOUNT_DIGITS
    return _HEX.match(value) is not None and len(digits) in _DIGEST_DIGITS and not account


def _encodes_text(part: str) -> bool:
    """Whether this is a text in base64 or hexadecimal."""
    found = []
    with suppress(ValueError):
        found.append(bytes.fromhex(part.removeprefix("0x")))
    with suppress(ValueError):
        found.append(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_"))
    return any(data and sum(32 <= one < 127 for one in data) >= TEXT_SHARE * len(data) for data in found)


def _could_be_word(run: str) -> bool:
    return run.isalpha() and len(run) >= WORD_CHARS


def _per_character(text: str) -> float:
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
