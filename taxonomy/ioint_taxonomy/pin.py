"""`python -m ioint_taxonomy.pin`: write what follows from the data into the data, after an edit and before a release.

That is the id of each catalogue entry (the hash of its pattern) and the digests in `release.json`. Run it from a
checkout; an installed package is not to be edited.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ioint_taxonomy.release import digest_of, pattern_id

DATA = Path(__file__).parent / "data"


def pin_release(data: Path = DATA) -> dict[str, str]:
    """Rewrite `catalogue.json` and `release.json` in a folder; return the digests."""
    taxonomy, vocabulary = _read(data / "taxonomy.json"), _read(data / "vocabulary.json")
    catalogue = _read(data / "catalogue.json")
    catalogue["entries"] = [entry | {"id": pattern_id(entry["pattern"])} for entry in catalogue["entries"]]
    digests = {"catalogue": digest_of(catalogue), "taxonomy": digest_of(taxonomy, vocabulary)}
    _write_entries(data / "catalogue.json", catalogue)
    _write(data / "release.json", {"digests": digests, "version": taxonomy["version"]})
    return digests


def _read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return value


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=True) + "\n", "utf-8")


def _write_entries(path: Path, catalogue: dict[str, Any]) -> None:
    """One entry a line, so that a change of one entry is a change of one line."""
    head = "".join(
        f" {json.dumps(key)}: {json.dumps(catalogue[key])},\n" for key in catalogue if key != "entries"
    )
    entries = ",\n".join("  " + json.dumps(entry, ensure_ascii=True) for entry in catalogue["entries"])
    path.write_text("{\n" + head + ' "entries": [\n' + entries + "\n ]\n}\n", "utf-8")


if __name__ == "__main__":
    pin_release()
