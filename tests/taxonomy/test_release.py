import json
import shutil
from pathlib import Path
from typing import Any

import ioint_taxonomy
import pytest
from ioint_taxonomy import TaxonomyError, load_catalogue, load_taxonomy, release
from ioint_taxonomy.pin import pin_release
from jsonschema import Draft202012Validator

DATA = Path(ioint_taxonomy.__file__).parent / "data"
FILES = sorted(path.name for path in DATA.glob("*.json"))
FRAMEWORKS = sorted(path.name for path in (DATA / "frameworks").glob("*.json"))


def read(name: str) -> Any:
    return json.loads((DATA / name).read_text("utf-8"))


def faults(schema: str, name: str) -> list[str]:
    checker = Draft202012Validator(read(f"schema/{schema}"))
    return [f"{list(error.path)[:4]}: {error.message[:120]}" for error in checker.iter_errors(read(name))]


@pytest.mark.parametrize("name", sorted(path.name for path in (DATA / "schema").glob("*.json")))
def test_a_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(read(f"schema/{name}"))


@pytest.mark.parametrize("name", FILES)
def test_a_data_file_is_what_its_schema_says(name: str) -> None:
    assert faults(name, name) == []


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_fact_file_is_what_its_schema_says(name: str) -> None:
    assert faults("framework.json", f"frameworks/{name}") == []


def test_the_release_has_the_counts_that_its_page_names() -> None:
    taxonomy = load_taxonomy()
    assert taxonomy.version == "2026.11"
    assert len(taxonomy.layers) == 11
    assert len(taxonomy.intents) == 91
    assert len(taxonomy.families) == 41
    assert len(taxonomy.verbs) == 26
    assert len(taxonomy.resources) == 42
    page = (Path(__file__).parents[2] / "docs" / "taxonomy.md").read_text("utf-8")
    assert f"| catalogue entries | {len(load_catalogue().entries)} |" in page
    assert f"| {len(read('crosswalk.json')['rows'])} | `crosswalk.json`" in page


def test_ids_and_slugs_are_used_once() -> None:
    content = read("taxonomy.json")
    rows = content["intents"] + content["families"]
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({row["slug"] for row in rows}) == len(rows)


def test_every_intent_lives_in_a_layer_and_every_layer_has_one() -> None:
    taxonomy = load_taxonomy()
    assert {intent.layer for intent in taxonomy.intents.values()} == {layer.id for layer in taxonomy.layers}


def test_the_loader_reads_once() -> None:
    assert load_taxonomy() is load_taxonomy()
    assert load_catalogue() is load_catalogue()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the data that the loader reads instead, with nothing cached."""
    shutil.copytree(DATA, tmp_path / "data")
    monkeypatch.setattr(release, "DATA", tmp_path / "data")
    monkeypatch.setattr(release, "load_taxonomy", release.load_taxonomy.__wrapped__)
    return tmp_path / "data"


def test_a_changed_definition_is_refused(copy: Path) -> None:
    text = (copy / "taxonomy.json").read_text("utf-8")
    (copy / "taxonomy.json").write_text(text.replace('"risk": 80', '"risk": 81', 1), "utf-8")
    with pytest.raises(TaxonomyError, match=r"release\.json names"):
        release.load_taxonomy()


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / "vocabulary.json").unlink()
    with pytest.raises(TaxonomyError, match=r"vocabulary\.json"):
        release.load_taxonomy()


def test_a_pattern_that_is_not_its_id_is_refused(copy: Path) -> None:
    catalogue = json.loads((copy / "catalogue.json").read_text("utf-8"))
    catalogue["entries"][0]["pattern"]["gaps"] = 0
    (copy / "catalogue.json").write_text(json.dumps(catalogue), "utf-8")
    pins = {"version": "2026.11", "digests": read("release.json")["digests"]}
    pins["digests"]["catalogue"] = release.digest_of(catalogue)
    (copy / "release.json").write_text(json.dumps(pins), "utf-8")
    with pytest.raises(TaxonomyError, match="id is not that of its pattern"):
        release.load_catalogue.__wrapped__()


def test_pinning_an_unchanged_release_changes_nothing(copy: Path) -> None:
    before = {path.name: path.read_bytes() for path in copy.glob("*.json")}
    assert pin_release(copy) == read("release.json")["digests"]
    assert {path.name: path.read_bytes() for path in copy.glob("*.json")} == before


def test_base_rates_are_merged_and_the_digest_covers_them(copy: Path) -> None:
    first = next(iter(load_catalogue().entries))
    (copy / "base_rates.json").unlink(missing_ok=True)
    unmeasured = release.load_catalogue.__wrapped__()
    assert (unmeasured.entries[first].base_matches, unmeasured.entries[first].base_sessions) == (0, 0)
    (copy / "base_rates.json").write_text(json.dumps({first: [3, 1100]}), "utf-8")
    measured = release.load_catalogue.__wrapped__()
    assert (measured.entries[first].base_matches, measured.entries[first].base_sessions) == (3, 1100)
    assert measured.digest != unmeasured.digest
