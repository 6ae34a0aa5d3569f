"""Build the report: ``python studies/report.py DIR...`` from folders of results, ``make report`` from the default studies.

Writes ``index.html``, a page without any file beside it, and ``report.pdf``, the same for print, to ``results/report``. A folder
that is missing, half-written, of another version or of no study leaves a message at its place; the rest is built. The same tables
give the same bytes.

Without folders it runs the default studies first (:data:`studies.reporting.defaults.RUNS`), and says how far it is. Each is
skipped where its table stands already, so that a report that was interrupted or killed goes on; one that fails leaves its
message in the report.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

import argparse  # noqa: E402
import signal  # noqa: E402
from collections.abc import Sequence  # noqa: E402

from studies import outputs  # noqa: E402
from studies.outputs import shown  # noqa: E402
from studies.reporting import defaults  # noqa: E402
from studies.reporting.document import report  # noqa: E402
from studies.reporting.found import find  # noqa: E402
from studies.reporting.page import page  # noqa: E402
from studies.reporting.printed import pdf  # noqa: E402


def build(folders: Sequence[Path], out: Path) -> list[Path]:
    """Write the report on what the folders hold to the folder ``out``; return its two files.

    Raises
    ------
    SystemExit
        If ``out`` cannot be written to.
    """
    outputs.check_writable(out, "--out FOLDER")
    whole = report(find([folder for folder in folders if folder.absolute() != out.absolute()]))
    paths = [out / "index.html", out / "report.pdf"]
    with outputs.alone(out):
        outputs.write(paths[0], lambda partial: Path(partial).write_text(page(whole), encoding="utf-8"))
        outputs.write(paths[1], lambda partial: Path(partial).write_bytes(pdf(whole)))
    return paths


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Build the report, a page and a PDF, from folders of results.")
    parser.add_argument("folders", type=Path, nargs="*", metavar="DIR", help="results; without any, the default studies are run")
    parser.add_argument("--out", type=Path, default=Path("results/report"), help="folder to write to (default: %(default)s)")
    given = parser.parse_args()
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # killed gently, it ends its runs as if interrupted
        paths = build(given.folders or defaults.run_all(defaults.RUNS, Path("results")), given.out)
    except KeyboardInterrupt:
        raise SystemExit("interrupted; the same command goes on with the runs that are left") from None
    for path in paths:
        print(f"{'page' if path.suffix == '.html' else 'print':9}{shown(path)}  ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
