"""docs/theory.md names claims and files that there are."""

import re
from pathlib import Path

from bounds import CATALOGUE
from studies.sentences.sentence import MATTERS, RARELY, SIMILAR

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/theory.md").read_text()


def test_every_claim_of_the_table_is_in_the_catalogue_with_its_status():
    rows = [line.split("|") for line in TEXT.splitlines() if line.startswith("| ")][1:]
    claims = [(name, status) for row in rows for name, status in re.findall(r"`([^`]+)`(?: \((\w+)\))?", row[3])]
    assert len(claims) > 20
    for name, status in claims:
        assert CATALOGUE[name].status == (status or "theorem"), name


def test_every_file_is_there_and_holds_the_function():
    for name in re.findall(r"`((?!docs)[a-z]+/[\w/]*(?:\.py)?)`", TEXT):
        assert (ROOT / name).exists(), name
    for function, file in re.findall(r"`(\w+)` of `([\w/]+\.py)`", TEXT):
        assert f"def {function}(" in (ROOT / file).read_text()


def test_the_margins_are_those_of_the_rules():
    assert f"({SIMILAR:.0%} of what there is to gain)".replace("%", " %") in TEXT
    assert f"below {MATTERS:.0%}".replace("%", " %") in TEXT
    assert f"at most {RARELY:.0%}".replace("%", " %") in TEXT
