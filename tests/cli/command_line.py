"""The command `oms` in the process of the tests, and the logs that its tests begin on."""

import json
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from oms_es.cli import app
from oms_es.log.sqlite import SqliteLog
from tests.desk import facts_file, filled, submitted
from tests.golden_days import restore

HISTORY = Path(__file__).parents[2] / "oms_es/days/files/history.jsonl"
# Each log is made by these command lines, in a folder in which `facts.jsonl` has an order and its fill on 2012-06-21.
LOGS = {
    # ADA was bought at two prices and sold in part, and BTC was shorted (seq 17).
    "day": """
        submit ADA buy limit 100 0.45 --order-id a-1 --occurred-at 2024-03-15T13:00:00Z
        ack a-1 --external-id V-1 --occurred-at 2024-03-15T13:00:01Z
        fill a-1 60 0.45 --trade-id t-1 --fee 0.01 --occurred-at 2024-03-15T13:00:02Z
        fill a-1 40 0.44 --trade-id t-2 --fee -0.02 --occurred-at 2024-03-15T13:00:03Z
        submit ADA sell limit 50 0.5 --order-id a-2 --occurred-at 2024-03-15T14:00:00Z
        fill a-2 20 0.5 --trade-id t-3 --occurred-at 2024-03-15T14:00:01Z
        submit BTC sell market 20 --order-id b-1 --account zeta --occurred-at 2024-03-15T14:30:00Z
        fill b-1 20 60000 --trade-id t-4 --occurred-at 2024-03-15T14:30:01Z
        mark ADA 0.48 --occurred-at 2024-03-15T14:31:00Z""",
    # alpha bought ADA (seq 2 to 5), and then zeta ordered BTC (seq 6 and 7).
    "names": """
        submit ADA buy limit 100 0.45 --order-id a-1 --account alpha
        ack a-1 --external-id V-1
        fill a-1 60 0.45 --trade-id t-1
        submit BTC sell limit 20 60000 --order-id b-1 --account zeta""",
    "alpha": "submit ADA buy limit 100 0.45 --account alpha",
    # 60 of the 100 that may be lost are lost: 20 bought at 10, sold at 7.
    "losing": """
        limits set max_daily_loss=100
        submit ADA buy limit 20 10 --order-id buy
        fill buy 20 10 --trade-id t-buy
        submit ADA sell limit 20 7 --order-id sell
        fill sell 20 7 --trade-id t-sell""",
    "demo": f"import facts {HISTORY}",  # the history that is shipped with the demo
    "history": "import facts facts.jsonl",
    "begun": "",  # it has no event
}


def made(name: str, logs: dict[str, Path]) -> Path:
    """Return a log by its name."""
    if name not in logs:
        folder = logs[""] / name
        folder.mkdir()
        if name in LOGS:
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                facts_file(folder / "facts.jsonl", submitted(1), filled(2))
                SqliteLog(folder / "day.db").append([], 0)
                for words in filter(None, LOGS[name].strip().splitlines()):
                    Oms(folder / "day.db")(words)
        else:
            restore(name, folder / "day.db").close()
        logs[name] = folder / "day.db"
    return logs[name]


class Oms:
    """The command `oms`, said as one would type it, over one log."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def __call__(self, words: str | Sequence[str], code: int = 0, **environment: str) -> Result:
        """Run it and expect an exit code; no traceback is ever shown."""
        arguments = shlex.split(words) if isinstance(words, str) else list(words)
        result = CliRunner().invoke(app, arguments, env={"OMS_LOG": str(self.log), **environment})
        assert result.exit_code == code, f"oms {words}: {result.exit_code}\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.output
        return result

    def json(self, words: str, code: int = 0) -> Any:
        """Return what it answers to a program."""
        return json.loads(self(f"{words} --json", code).stdout)

    def held(self, words: str = "positions") -> dict[str, str]:
        """Return the quantities held, by symbol."""
        return {row["symbol"]: row["quantity"] for row in self.json(words)["positions"]}


def on(name: str, oms: Oms, logs: dict[str, Path]) -> Oms:
    """Return `oms` over a copy of a log."""
    if name != "empty":
        shutil.copy(made(name, logs), oms.log)
    return oms
