"""
Measure this code: `make bench`, `make bench-check`, or `python -m benchmarks --help`.

Every figure is a ratio to something fixed that is measured beside it, so that runs on different machines compare.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks import footprint, ingest, proof, reading, writing
from benchmarks.figures import losses, measure, put_table, save, table

DOCS = Path(__file__).resolve().parents[1] / "docs"
LATEST = DOCS / "performance.json"
PAGE = DOCS / "performance.md"


def main() -> int:
    """Print the table; with `--check` return 1 when a figure was lost against the last table."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        wanted = options.only.split(",") if options.only else []
        found = []
        if not wanted or _needs_logs(wanted):
            logs = reading.Logs(Path(folder), options.events)
            found = [*reading.figures(logs), *proof.figures(logs)]
        every = [*writing.figures(), *ingest.figures(), *found, *footprint.figures()]
        chosen = [each for each in every if not wanted or any(name in each.name for name in wanted)]
        if not chosen:
            print(f"no figure has {options.only!r} in its name", file=sys.stderr)
            return 2
        results = measure(chosen)
    print(table(results))
    if options.save:
        save(results, LATEST, f"python -m benchmarks --events {options.events} --save")
        put_table(results, PAGE)
    if options.check:
        lost = losses(results, json.loads(LATEST.read_text(encoding="utf-8")))
        print("\n".join(["", *lost] if lost else ["", "no loss against docs/performance.json"]))
        return bool(lost)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="length of the made-up log [100000]")
    parser.add_argument("--only", help="figures with one of these words in their names, separated by commas")
    parser.add_argument(
        "--save", action="store_true", help="write docs/performance.json and the table of docs/performance.md"
    )
    parser.add_argument("--check", action="store_true", help="compare with docs/performance.json; exit 1 on a loss")
    return parser.parse_args()


def _needs_logs(wanted: list[str]) -> bool:
    others = [each.name for each in (*writing.figures(), *ingest.figures(), *footprint.figures())]
    return not all(any(name in other for other in others) for name in wanted)


if __name__ == "__main__":
    sys.exit(main())
