"""Write the test vectors beside this file: `python make_vectors.py`; with `--check`, only compare.

The same bytes every time. Every case names itself and either what is expected or `refusal`, the name of the refusal
that is expected. Refusals are written by hand in these scripts; the tests hold the implementation to them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from paths import make_messages, make_patterns
from reputations import make_reputations
from rosters import make_rosters
from signed import make_segments, make_signatures
from unsigned import make_canonical, make_ids, make_records

HERE = Path(__file__).parent
FILES = {
    "canonical.json": make_canonical,
    "ids.json": make_ids,
    "signatures.json": make_signatures,
    "records.json": make_records,
    "rosters.json": make_rosters,
    "segments.json": make_segments,
    "patterns.json": make_patterns,
    "messages.json": make_messages,
    "reputations.json": make_reputations,
}


def make_files() -> dict[str, str]:
    """The text of every file, and of the list of their digests in the form of `sha256sum`."""
    texts = {name: json.dumps(make(), indent=1, sort_keys=True) + "\n" for name, make in FILES.items()}
    digests = {name: hashlib.sha256(text.encode("ascii")).hexdigest() for name, text in sorted(texts.items())}
    return texts | {"SHA256SUMS": "".join(f"{digest}  {name}\n" for name, digest in digests.items())}


def main() -> int:
    """Write or compare every file; 1 when one differs."""
    differing = []
    for name, text in make_files().items():
        path = HERE / name
        if "--check" in sys.argv:
            if not path.is_file() or path.read_text(encoding="ascii") != text:
                differing.append(name)
        else:
            path.write_text(text, encoding="ascii")
    for name in differing:
        print(f"{name} is not what make_vectors.py writes", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
