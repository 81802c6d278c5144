"""The shipped model files: listed with licence and origin, whole, and small enough to be cloned."""

import hashlib
import json
from pathlib import Path

import pytest

MODELS = Path(__file__).resolve().parents[1] / "models"
MANIFEST = json.loads((MODELS / "MANIFEST").read_text())
FILES = sorted(path.name for path in MODELS.iterdir() if path.name != "MANIFEST")
MAX_FILE_BYTES, MAX_BYTES = 16 << 20, 50 << 20
FREE_LICENCES = ("Apache-2.0", "CC0-1.0", "MIT")


def test_every_file_is_listed_and_every_listed_file_is_there() -> None:
    assert sorted(MANIFEST) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_the_manifest_says(name: str) -> None:
    entry = MANIFEST[name]
    assert hashlib.sha256((MODELS / name).read_bytes()).hexdigest() == entry["sha256"]
    assert entry["licence"].startswith(FREE_LICENCES)
    assert entry["command"].startswith("python -m models_train.")
    assert "+changes" not in entry.get("commit", ""), "trained from code that is not in the history"


@pytest.mark.parametrize("name", FILES)
def test_a_file_tells_nothing_of_the_machine_that_made_it(name: str) -> None:
    content = (MODELS / name).read_bytes()
    assert not [path for path in (b"/models_train/", b"/site-packages/", b"/tmp/", b"/home/") if path in content]


def test_the_files_are_small() -> None:
    sizes = {name: (MODELS / name).stat().st_size for name in FILES}
    assert max(sizes.values()) <= MAX_FILE_BYTES
    assert sum(sizes.values()) <= MAX_BYTES
