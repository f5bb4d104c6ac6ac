"""`python -m benchmarks [NAME …]`: run measurements; all of them without a name."""

import sys

from benchmarks import audit, commands, opening, size, tables, throughput, time_travel

ALL = {
    "size": size.main,
    "commands": commands.main,
    "throughput": throughput.main,
    "time_travel": time_travel.main,
    "opening": opening.main,
    "tables": tables.main,
    "audit": audit.main,
}

if __name__ == "__main__":
    names = sys.argv[1:] or list(ALL)
    unknown = [name for name in names if name not in ALL]
    if unknown:
        sys.exit(f"no measurement {', '.join(unknown)}; there are: {', '.join(ALL)}")
    for name in names:
        print(f"== {name}", flush=True)
        ALL[name]()
