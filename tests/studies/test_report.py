"""The report: what it says of sound folders and of broken ones, and that the same tables give the same bytes."""

import base64
import importlib
import inspect
import io
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest
import reported
import typst

from bounds import CATALOGUE
from bounds.errata import ERRATA
from studies import gather, ledger, made, outputs, report, trust_region, verify
from studies.reporting import defaults, maths, sections
from studies.reporting.content import Download, Grid, Notice, Paragraph, Picture, Points, number, plain, spans, walk
from studies.reporting.defaults import Run
from studies.reporting.document import report as document
from studies.reporting.drawn import caption, thin
from studies.reporting.findings import KINDS, TRUE, findings
from studies.reporting.found import CONFIGURED, age, find
from studies.reporting.ledgers import verdict_grid
from studies.reporting.page import formula, page
from studies.reporting.printed import layout, pdf

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    return reported.sound(root)


@pytest.fixture(scope="module")
def once():
    """A function in whose context the figures of a table are drawn once for all tests that look at what is around them."""
    kept = {}
    draw = sections.pictures

    def pictures(module, table, *told):
        key = (module.__name__, table.to_csv(), *told)
        if key not in kept:
            kept[key] = list(draw(module, table, *told))
        return kept[key]

    return partial(patch.object, sections, "pictures", pictures)


@pytest.fixture
def drawn_once(once):
    with once():
        yield


@pytest.fixture(scope="module")
def whole(results, once):
    with once():
        return document(find(results))


@pytest.fixture(scope="module")
def built(results, once, tmp_path_factory):
    with once():
        return report.build(results, tmp_path_factory.mktemp("report"))


drawn_before = pytest.mark.usefixtures("drawn_once")


def blocks(document, kind):
    return [block for section in walk(document.sections) for block in section.blocks if isinstance(block, kind)]


def words(section):
    """All that paragraphs, notices and lists of a section and its parts say."""
    said = []
    for own in walk([section]):
        for block in own.blocks:
            said += block.items if isinstance(block, Points) else [block.text] if isinstance(block, Paragraph | Notice) else []
    return " ".join(said)


def place(document, id):
    return next(section for section in walk(document.sections) if section.id == id)


def test_the_same_tables_give_the_same_bytes(built, results, tmp_path):
    again = report.build(results, tmp_path)
    assert [path.name for path in again] == ["index.html", "report.pdf"]
    for first, second in zip(built, again, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


@drawn_before
def test_another_table_gives_another_report(built, results, tmp_path):
    other = reported.store(reported.trust_region_table(5), tmp_path / "trust_region" / "seed=5", "seed=5")
    for first, second in zip(built, report.build([*results, other], tmp_path / "out"), strict=True):
        assert first.read_bytes() != second.read_bytes(), first.name


def test_the_page_needs_nothing_but_itself(built):
    text = built[0].read_text()
    addresses = re.findall(r'(?:src|href|srcset|data|action)="([^"]*)"', text) + re.findall(r"url\(([^)]*)\)|@import (\S+)", text)
    outside = [a for a in addresses if isinstance(a, str) and not a.startswith(("#", "data:"))]
    outside += [a for pair in addresses if isinstance(pair, tuple) for a in pair if a and not a.startswith("#")]
    assert not outside
    assert "<link" not in text.replace('<link rel="icon" href="data:,">', "")


def test_names_are_unique_and_links_go_somewhere(built):
    text = built[0].read_text()
    counts = Counter(re.findall(r' id="([^"]+)"', text))
    own = {name: n for name, n in counts.items() if not name.startswith("f") or "." not in name}
    assert set(own.values()) == {1}
    links = set(re.findall(r'href="#([^"]+)"', text))
    assert len(links) > 20
    assert links <= set(counts)


def test_every_figure_has_its_command_its_data_and_words(whole):
    pictures, grids = blocks(whole, Picture), {grid.id: grid for grid in blocks(whole, Grid)}
    table = reported.trust_region_table(0)
    assert len(pictures) == 2 * len(trust_region.figures(table)) + len(verify.figures(reported.verify_table()))
    for picture in pictures:
        assert re.search(r"Made by `python studies/run\.py[^`]*`", picture.caption), picture.id
        data = grids[re.search(r"\[data\]\(#([^)]+)\)", picture.caption)[1]].data
        assert len(pd.read_csv(io.StringIO(data.content))) > 0
        assert "Across: " in picture.alt
        assert picture.image.startswith("<svg")


def test_the_data_is_the_summary(whole, results):
    carried = {block.data.name: block.data.content for block in blocks(whole, Grid) if block.data}
    table = outputs.read_table(results[1] / outputs.TABLE)
    assert carried["trust_region-seed-1.summary.csv"] == trust_region.summary(table).to_csv(index=False)


@drawn_before
def test_a_small_table_is_carried_whole_and_a_large_one_is_told(results, tmp_path):
    small = outputs.read_table(results[0] / outputs.TABLE).head(40)
    folder = reported.store(small, tmp_path / "trust_region" / "small", "delta=0.1")
    (download,) = blocks(document(find([folder])), Download)
    assert download.content == small.to_csv(index=False)
    rows = outputs.read_table(results[2] / outputs.TABLE)
    large = reported.store(pd.concat([rows] * 10, ignore_index=True), tmp_path / "verify" / "large", "study=verify")
    made = document(find([large]))
    assert not blocks(made, Download)
    assert f"{10 * len(rows):,} rows" in words(place(made, "verify"))
    assert f"{large.name}/table.parquet" in words(place(made, "verify"))


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def relabel(path):
    table = pd.read_parquet(path).assign(study="nonesuch")
    table.to_parquet(path)


def as_old(path):
    table = pd.read_parquet(path)
    attributes, table = table.attrs, table.drop(columns="kl_max")
    table.attrs = attributes
    table.to_parquet(path)


BROKEN = {
    "missing": (lambda path: shutil.rmtree(path.parent), ["does not exist", "study=trust_region seed=1"]),
    "a file": (lambda path: (shutil.rmtree(path.parent), path.parent.write_text("")), ["is a file, not a folder"]),
    "half-written": (half, ["damaged or half-written", "study=trust_region seed=1"]),
    "not parquet": (lambda path: path.write_text("once upon a time"), ["damaged or half-written"]),
    "never ended": (lambda path: path.unlink(), ["holds no table", "study=trust_region seed=1"]),
    "failed": (
        lambda path: path.with_name("error.txt").write_text("ValueError: no $ left\n\nwhere"),
        ["ValueError: no \\$ left"],
    ),
    "another study": (relabel, ["no study 'nonesuch'"]),
    "another version": (as_old, ["another version of trust_region", "kl_max", "figures", "summary", "study=trust_region seed=1"]),
}


@drawn_before
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_has_its_message_at_its_place_and_the_rest_is_built(case, results, tmp_path):
    shutil.copytree(results[0].parents[1], tmp_path / "r")
    folders = [tmp_path / "r" / path.relative_to(results[0].parents[1]) for path in results]
    spoil, expected = BROKEN[case]
    spoil(folders[1] / outputs.TABLE)
    made = document(find(folders))
    at_place = " ".join(
        notice.text for own in walk([place(made, "trust_region")]) for notice in own.blocks if isinstance(notice, Notice)
    )
    for part in expected:
        assert part in at_place, at_place
    sound = {picture.id for picture in blocks(made, Picture)}
    assert {"trust_region-default-progress", "verify-default-claims"} <= sound
    assert "trust_region-seed-1-progress" not in sound or case == "failed"  # its earlier table stands beside the message
    assert "trust_region-default-progress" in page(made)


def test_nothing_but_broken_folders_is_a_report_too(tmp_path):
    made = document(find([tmp_path / "verify" / "default", tmp_path / "elsewhere"]))
    assert "python studies/run.py study=verify" in words(place(made, "verify"))
    assert "elsewhere" in words(place(made, "unknown"))
    assert "2 results could not be shown" in words(place(made, "summary"))
    assert pdf(made).startswith(b"%PDF")
    assert "does not exist" in page(made)


@drawn_before
def test_a_table_of_other_code_is_shown_with_both_hashes(results, tmp_path):
    table = outputs.read_table(results[0] / outputs.TABLE)
    folder = reported.store(table, tmp_path / "trust_region" / "default", version="0.0.1", sources="0123456789abcdef")
    made = document(find([folder]))
    said = words(place(made, "trust_region"))
    for part in ("version 0.0.1", "0123456789abcdef", outputs.sources([])):
        assert part in said, said
    assert "1 of 1 table come" in words(place(made, "summary"))
    assert blocks(made, Picture)


@pytest.mark.parametrize("named", ["own_claims", ["own_claims"]])
def test_a_table_with_claims_of_ones_own_is_of_this_code_as_long_as_they_are(named, results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_claims", raising=False)
    (tmp_path / "own_claims.py").write_text("one = 1\n")
    code = outputs.sources([importlib.import_module("own_claims")])
    table = outputs.read_table(results[2] / outputs.TABLE)
    folder = reported.store(table, tmp_path / "verify" / "x", "study=verify", config={"bounds": named}, sources=code)
    assert age(find([folder])[0]) == ""
    monkeypatch.delitem(sys.modules, "own_claims")
    (tmp_path / "own_claims.py").write_text("raise SystemExit\n")
    importlib.invalidate_caches()
    assert "sources `unknown (bounds names the module 'own_claims', which cannot be imported" in age(find([folder])[0])


def test_a_table_of_this_code_has_no_notice(whole):
    assert not [n.text for n in blocks(whole, Notice) if "another state" in n.text]


@drawn_before
def test_the_day_and_the_machine_stand_beside_the_command(results, tmp_path):
    folders = [Path(shutil.copytree(folder, tmp_path / folder.relative_to(results[0].parents[1]))) for folder in results]
    days = {0: "2020-02-29", 2: "2021-03-01"}
    for k, day in days.items():
        attributes = outputs.read_attributes(folders[k] / outputs.TABLE)
        made.put(folders[k], {**attributes, "date": day, "machine": {"processor": f"P{k}"}})
    shown = document(find(folders))
    assert "Data of 2020-02-29 to 2021-03-01, some of an unknown day." in words(place(shown, "summary"))
    assert "run.py` on 2020-02-29. Fingerprint" in words(place(shown, "trust_region-default"))
    assert " on 2020" not in words(place(shown, "trust_region-seed-1"))
    (grid,) = [grid for grid in blocks(shown, Grid) if grid.id == "reproduction.table"]
    columns = {column.name: column.cells for column in grid.columns}
    rows = dict(zip(columns["command"], columns["date"], strict=True))
    assert list(rows.values()) == ["2020-02-29", "unknown", "2021-03-01"]
    machines = words(place(shown, "reproduction"))
    assert "processor P0: `trust_region/default`" in machines
    assert "processor P2: `verify/default`" in machines
    assert "Data of" not in words(place(document(find(results)), "summary"))


@drawn_before
def test_a_sweep_made_on_two_days_names_both(results, tmp_path):
    root = tmp_path / "trust_region" / "seed=0,1"
    for seed, day in ((0, "2020-03-01"), (1, "2020-02-29")):
        reported.store(reported.trust_region_table(seed), root / f"seed={seed}", f"seed={seed}")
        made.put(root / f"seed={seed}", {**outputs.read_attributes(root / f"seed={seed}" / outputs.TABLE), "date": day})
    combined = gather.combine({f"seed={seed}": outputs.read_table(root / f"seed={seed}" / outputs.TABLE) for seed in (0, 1)})
    outputs.write_table(combined, root / outputs.TABLE)
    assert " on 2020-02-29 to 2020-03-01. Fingerprint" in words(place(document(find([tmp_path])), "trust_region"))


@drawn_before
def test_a_sweep_is_shown_once_with_the_commands_of_its_jobs(results, tmp_path):
    root = tmp_path / "trust_region" / "seed=0,1"
    jobs = {f"seed={seed}": reported.trust_region_table(seed) for seed in (0, 1)}
    for name, table in jobs.items():
        reported.store(table, root / name, name)
    combined = gather.combine({name: outputs.read_table(root / name / outputs.TABLE) for name in jobs})
    outputs.write_table(combined, root / outputs.TABLE)
    (found,) = find([tmp_path])
    assert found.folder == root
    (section,) = [place(document([found]), "trust_region")]
    for seed in (0, 1):
        assert f"python studies/run.py seed={seed}`" in words(section)


def test_two_copies_of_a_run_are_shown_once_the_first_given(results, tmp_path):
    shutil.copytree(results[2], tmp_path / "docs" / "verify" / "default")
    for folders in ([results[2], tmp_path], [tmp_path, results[2]]):
        (found,) = find(folders)
        assert found.folder.is_relative_to(folders[0])


@drawn_before
def test_runs_that_share_a_name_have_places_of_their_own(results, tmp_path):
    other = reported.store(reported.trust_region_table(7), tmp_path / "trust_region" / "default", "seed=7")
    made = document(find([results[0], other]))
    ids = [picture.id for picture in blocks(made, Picture)]
    assert len(ids) == len(set(ids)) == 10


# What it says ---------------------------------------------------------------------------------------------------------


def said_of(tables, question):
    return " ".join(finding.text for finding in findings(tables) if finding.question == question)


def test_findings_are_computed_from_the_tables():
    table = reported.verify_table()
    theorems = int(verify.summary(table)["status"].eq("theorem").sum())
    text = said_of({"verify": [table]}, TRUE)
    assert f"{theorems} theorems" in text
    assert "none was violated" in text
    worse = table.copy()
    worse.loc[worse["claim"] == "kl-trpo", "violations"] = 1
    assert "**1 violated: `kl-trpo`**" in said_of({"verify": [worse]}, TRUE)
    assert not said_of({}, TRUE)


def test_the_second_run_stands_beside_the_first():
    tables = [reported.trust_region_table(seed) for seed in (0, 1)]
    assert "with other seeds" in said_of({"trust_region": tables}, KINDS)
    assert "with other seeds" not in said_of({"trust_region": tables[:1]}, KINDS)
    half = tables[0].iloc[: len(tables[0]) // 2]
    for given in ([half, tables[0]], [tables[0], half]):  # of one seed, and so not another run
        assert said_of({"trust_region": given}, KINDS) == said_of({"trust_region": tables[:1]}, KINDS)
    falling = tables[0].assign(improvement=-1.0)
    assert "100.0% of" in said_of({"trust_region": [falling]}, KINDS)
    rising = tables[0].assign(improvement=1.0)
    assert "no step lowered" in said_of({"trust_region": [rising]}, KINDS)


def test_the_ledger_stands_in_the_report(whole, results):
    tables = {"verify": [outputs.read_table(results[2] / outputs.TABLE)]}
    grids = {grid.id: grid for grid in blocks(whole, Grid)}
    claims = [str(claim) for claim in ledger.theorems(tables)["claim"]]
    assert list(grids["theorems.table"].columns[0].cells) == claims
    assert len(grids["empirical.table"].columns[0].cells) == len(ledger.empirical(tables))


def test_places_of_verdicts_stand_by_sentence():
    table = pd.DataFrame(
        {
            "id": ["slow: cart-pole", "slow: tables, tied", "slow: hopper", "as printed"],
            "verdict": ["supported", "not supported", "supported", "undecided here"],
        }
    )
    columns = {column.name: column.cells for column in verdict_grid(table).columns}
    assert columns == {
        "sentence": ("slow", "as printed"),
        "supported": ("cart-pole; hopper", ""),
        "not supported": ("tables, tied", ""),
        "undecided here": ("", "yes"),
    }
    text = next(finding.text for finding in findings({}, table) if "sentences" in finding.text)
    assert "Of 4 sentences" in text
    assert "**2 supported, 1 not supported, 1 undecided here**" in text


@drawn_before
def test_a_ledger_that_cannot_be_made_leaves_the_rest(results, monkeypatch):
    def fails(tables):
        raise KeyError("kl_max")

    monkeypatch.setattr(ledger, "theorems", fails)
    made = document(find(results[:1]))
    assert "theorems cannot be made of these results (KeyError: 'kl\\_max')".replace("\\_", "_") in words(place(made, "theorems"))
    assert blocks(made, Picture)


def test_every_erratum_is_there_with_links_to_its_claims(whole):
    grid = next(grid for grid in blocks(whole, Grid) if grid.id == "errata.table")
    cells = {column.name: column.cells for column in grid.columns}
    assert list(cells["id"]) == [e.id for e in ERRATA]
    assert "[G11](#claim-G11)" in " ".join(cells["claims"])
    assert [plain(e.printed) for e in ERRATA] == list(cells["printed"])


@pytest.mark.parametrize("study", CONFIGURED)
def test_every_figure_of_every_study_has_a_caption(study):
    module = outputs.study_module(study)
    written = re.findall(r'drawn\[f?"(\w+)(?:\{suffix\})?"\] = |"(\w+)": \w+\(', inspect.getsource(module.figures))
    stems = [first or second for first, second in written]
    assert stems
    for stem in stems:
        assert len(caption(module, stem, alone=len(stems) == 1).split()) > 4, stem


@pytest.mark.parametrize("study", CONFIGURED)
def test_what_a_summary_shows_is_said_in_sentences(study):
    """The page sets the docstring as a paragraph, in which a table would be a line of signs."""
    said = outputs.study_module(study).summary.__doc__
    assert "===" not in said
    assert len(said.split()) > 8


# Formulas -------------------------------------------------------------------------------------------------------------


def test_all_formulas_of_the_catalogue_are_set_both_ways(tmp_path):
    lines = []
    for claim in CATALOGUE.values():
        assert "\\" not in maths.mathml(claim.formula), claim.id
        lines.append(f"$ {maths.typst(claim.formula)} $")
    (tmp_path / "all.typ").write_text("\n\n".join(lines))
    assert bytes(typst.compile(tmp_path / "all.typ")).startswith(b"%PDF")


def test_a_formula_in_both_notations():
    latex = r"\frac{4\epsilon\gamma}{(1-\gamma)^2}\max_s KL(\pi\|\tilde\pi)"
    assert maths.typst(latex) == (
        r"frac(4 ϵ γ, \( 1 − γ attach(\), t: 2)) "
        r'attach(op("max", limits: #true), b: s) op("KL") \( π class("normal", bar.v.double) tilde(π) \)'
    )
    html = maths.mathml(latex)
    assert "<mfrac><mrow><mn>4</mn>" in html
    assert '<mi mathvariant="normal">KL</mi>' in html
    assert "<mover><mi>π</mi><mo" in html


def test_a_command_that_is_not_known_is_refused_and_shown_as_it_was_written():
    with pytest.raises(maths.BadFormula, match=r"\\mystery"):
        maths.mathml(r"\mystery x")
    assert ">\\mystery x</code>" in formula(r"\mystery x")


# Parts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1234567, "1,234,567"),
        (0.012345, "0.0123"),
        (1.2345e-9, "1.23e-09"),
        (0.99996, "1.000"),
        (1.0, "1"),
        (2.5e12, "2,500,000,000,000"),
        (1234567.5, "1.23e+06"),
        (float("nan"), ""),
        (float("inf"), "∞"),
        (None, ""),
    ],
)
def test_numbers(value, expected):
    assert number(value) == expected


@pytest.mark.parametrize("text", ["a `b` $c$ **d** [e](#f)", r"a\b \[ ``", "[KeyError('x')](y)", "||A|| * 2 ** 3 $"])
def test_words_from_elsewhere_have_no_marks(text):
    assert "".join(span.text for span in spans(plain(text))) == text
    assert {span.kind for span in spans(plain(text))} == {"text"}


def test_marks_are_read():
    kinds = [(span.kind, span.text, span.target) for span in spans(r"see `x_1`, $\pi$ and [that](#there), **now**")]
    assert kinds == [
        ("text", "see ", ""),
        ("code", "x_1", ""),
        ("text", ", ", ""),
        ("math", r"\pi", ""),
        ("text", " and ", ""),
        ("link", "that", "#there"),
        ("text", ", ", ""),
        ("strong", "now", ""),
    ]


def test_a_thin_figure_keeps_its_drawing():
    drawn = '<svg w="1"><defs><path id="a" d="M 1.23456 2.0000 z"/></defs><g id="b"><use xlink:href="#a" x="3.14159"/></g></svg>'
    svg = f"<?xml?>{drawn}"
    assert thin(svg, "x") == thin(svg, "x") != thin(svg, "y")
    name = re.search(r'id="([^"]+)"', thin(svg, "x"))[1]
    assert (
        thin(svg, "x") == f'<svg w="1"><defs><path id="{name}" d="M 1.23 2 z"/></defs><g><use href="#{name}" x="3.14"/></g></svg>'
    )


def test_a_table_with_more_in_it_gets_smaller_text_then_a_page_that_lies(whole):
    grids = {grid.id: grid for grid in blocks(whole, Grid)}
    narrow, wide = (layout(grids[id].columns) for id in ("trust_region-default.summary", "theorems.table"))
    assert not narrow[2]
    assert wide[2]
    column = grids["trust_region-default.summary"].columns[1]
    long = replace(column, cells=("word " * 200,))
    assert layout([column, long])[0][1] > layout([column, long])[0][0]


# The command ----------------------------------------------------------------------------------------------------------

TINY = ("study.claims=[G11]", "study.mdps=[riverswim]", "study.gammas=[0.9]")


def test_the_default_runs_are_made_once_and_a_failing_one_is_told(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    runs = [Run("verify", TINY, 1), Run("trust_region", ("study.iterations=-1",), 1)]
    folders = defaults.run_all(runs, Path("results"))[:2]
    assert "failed   python studies/run.py study=trust_region study.iterations=-1" in capfd.readouterr().out
    first = (folders[0] / outputs.TABLE).stat().st_mtime_ns
    said = document(find(folders))
    assert "iterations" in words(place(said, "trust_region"))
    assert {picture.id.split("-")[0] for picture in blocks(said, Picture)} == {"verify"}
    defaults.run_all(runs[:1], Path("results"))
    assert (folders[0] / outputs.TABLE).stat().st_mtime_ns == first
    command = next(iter(json.loads(json.dumps(outputs.read_attributes(folders[0] / outputs.TABLE)))["command"].splitlines()))
    assert command == " ".join(["python studies/run.py study=verify", *TINY])


def test_the_default_runs_are_of_studies_that_there_are():
    assert {run.study for run in defaults.RUNS} <= set(CONFIGURED)
    assert len({(run.study, run.overrides) for run in defaults.RUNS}) == len(defaults.RUNS)


def test_the_command_says_where_its_files_are(results, tmp_path):
    command = [sys.executable, str(ROOT / "studies" / "report.py"), str(results[2]), "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("out/index.html", "out/report.pdf"):
        assert name in done.stdout
        assert (tmp_path / name).stat().st_size > 10_000


def test_downloads_in_the_page_are_the_data(built, whole):
    text = built[0].read_text()
    carried = [block.data if isinstance(block, Grid) else block for block in [*blocks(whole, Grid), *blocks(whole, Download)]]
    for data in filter(None, carried):
        coded = re.search(rf'download="{re.escape(data.name)}" href="data:text/csv;charset=utf-8;base64,([^"]+)"', text)[1]
        assert base64.b64decode(coded).decode() == data.content
