"""Nothing that is written in a figure is cut off at its edge, however few panels it has."""

import pandas as pd
import pytest
import reported
from matplotlib.text import Text

from studies import trust_region

TABLE = reported.trust_region_table(0)
SIX = pd.concat([TABLE.assign(mdp=f"process_{i}") for i in range(6)], ignore_index=True).astype({"mdp": "category"})
TABLES = {
    "one panel": TABLE[TABLE["algorithm"] == "exact"],
    "one process": TABLE,
    "one process, two radii": pd.concat([TABLE, TABLE.assign(delta=0.2)], ignore_index=True),
    "six processes": SIX,
}


def outside(figure):
    """Titles, labels and legends that stand beyond the edges of a figure by more than a pixel."""
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    legends = [*figure.legends, *(axes.get_legend() for axes in shown if axes.get_legend())]
    written = [*figure.texts, *legends, *(text for axes in shown for text in (axes.title, axes.xaxis.label, axes.yaxis.label))]
    boxes = [(one, one.get_window_extent()) for one in written if not isinstance(one, Text) or one.get_text()]
    assert len(boxes) >= 3
    edge = figure.bbox
    return [str(one) for one, b in boxes if b.x0 < -1 or b.y0 < -1 or b.x1 > edge.width + 1 or b.y1 > edge.height + 1]


@pytest.mark.parametrize("panels", TABLES)
def test_all_that_is_written_in_the_figures_of_trust_region_is_inside(panels):
    for stem, figure in trust_region.figures(TABLES[panels].copy()).items():
        assert outside(figure) == [], stem


def test_the_check_sees_what_is_cut_off():
    figure = trust_region.progress(TABLES["one panel"].copy())
    figure.supylabel("a label much longer than a figure of one panel is high, which its edges cut off")
    assert len(outside(figure)) == 1
