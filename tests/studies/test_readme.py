"""What README.md says of the claims is what the code says today."""

import re

import pytest

from bounds import CATALOGUE
from studies import readme

SECTIONS = readme.sections()


def split(text):
    """Words with every number taken out, and the numbers."""
    number = r"(?<=\| )\d[\d.e+-]*(?= \|)"
    return re.sub(number, "#", text), [float(x) for x in re.findall(number, text)]


@pytest.mark.parametrize("marker", SECTIONS)
def test_generated_sections_are_current(marker):
    words, numbers = split(readme.section(readme.README.read_text(), marker))
    expected_words, expected_numbers = split(SECTIONS[marker])
    assert words == expected_words, "run: python studies/readme.py"
    assert numbers == pytest.approx(expected_numbers, rel=6e-3, abs=1e-12)  # three digits


def test_no_verdict_is_in_capitals():
    assert not re.search(r"VIOLATED|NOT BROKEN|NEVER|ERROR", SECTIONS["claims"])


def test_a_missing_marker_is_named():
    with pytest.raises(ValueError, match="lacks the marker <!-- claims -->"):
        readme.section("nothing", "claims")


def test_the_code_in_the_readme_runs():
    blocks = re.findall(r"```python\n(.*?)```", readme.README.read_text(), re.S)
    assert len(blocks) == 4
    names = {}
    exec(blocks[0], names)
    assert names["c"].batch == (1000,)
    exec(blocks[1], agent := {})
    assert agent["agent"].history[-1].step.accepted
    exec(blocks[2], names)
    assert names["verdict"].outcome == "HOLDS"
    assert names["witness"].usage > 1
    assert blocks[3] in (readme.README.parent / "examples/my_bounds.py").read_text()
    before = dict(CATALOGUE)
    try:
        CATALOGUE.pop("my-cpo-resolvent", None)  # there already with ``pytest -p my_bounds``
        exec(blocks[3], names)
        assert CATALOGUE["my-cpo-resolvent"].usage(names["c"]).shape == (1000,)
    finally:
        CATALOGUE.clear()
        CATALOGUE.update(before)
