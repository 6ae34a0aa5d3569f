"""What README.md and docs/ say is what the code says today."""

import re

import pytest

from bounds import CATALOGUE
from studies import docs

PYTHON = {
    page: re.findall(r"```python\n(.*?)```", (docs.ROOT / page).read_text(), re.S)
    for page in ("README.md", "docs/agent.md", "docs/adversary.md", "docs/extending.md")
}


def split(text):
    """Words with every number taken out, and the numbers."""
    number = r"(?<=\| )\d[\d.e+-]*(?= \|)"
    return re.sub(number, "#", text), [float(x) for x in re.findall(number, text)]


def test_generated_sections_are_current():
    sections = docs.sections()
    assert sections.keys() == docs.PAGES.keys()
    for marker, expected in sections.items():
        words, numbers = split(docs.section(docs.PAGES[marker].read_text(), marker))
        expected_words, expected_numbers = split(expected)
        assert words == expected_words, "run: python studies/docs.py"
        assert numbers == pytest.approx(expected_numbers, rel=6e-3, abs=1e-12)  # three digits
    assert not re.search(r"VIOLATED|NOT BROKEN|NEVER|ERROR", sections["claims"])  # no verdict is in capitals


def test_a_missing_marker_is_named():
    with pytest.raises(ValueError, match="lacks the marker <!-- claims -->"):
        docs.section("nothing", "claims")


def test_the_code_of_the_pages_runs():
    (first,), (agent,), (adversary,), (mine,) = PYTHON.values()
    names = {}
    exec(first, names)
    assert names["c"].batch == (1000,)
    exec(agent, other := {})
    assert other["agent"].history[-1].step.accepted
    exec(adversary, names)
    assert names["verdict"].outcome == "HOLDS"
    assert names["witness"].usage > 1
    assert mine in (docs.ROOT / "examples/my_bounds.py").read_text()
    before = dict(CATALOGUE)
    try:
        CATALOGUE.pop("my-cpo-resolvent", None)  # there already with ``pytest -p my_bounds``
        exec(mine, names)
        assert CATALOGUE["my-cpo-resolvent"].usage(names["c"]).shape == (1000,)
    finally:
        CATALOGUE.clear()
        CATALOGUE.update(before)


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{path.name}" for path in (docs.ROOT / "docs").glob("*.md"))])
def test_links_of_the_pages_lead_somewhere(page):
    path = docs.ROOT / page
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target
