"""
Scenarios: what a desk is asked, line by line, and what comes of it; read from text files that one can check by hand.

    == A title that could stand in the manual
    limits max_position_size=150
    buy 100@10, ack V-1                 commands about order o-1, in the words of `builders.said`
    V-1: fill 40@10 t1 at=-5            about another id (b/o-1: of account b), executed 5 s before our clock
    import buy 100@10                   imported; `wait 60`, `mark 10`, `halted`, `define AAA 10 EUR` need no order
    o-2: buy 1@10  -> refused POSITION_SIZE        the events, `ok`, `refused` with its codes, or an error and its words
    = held 40; waiting 0                facts about the state: see `CHECKS`
"""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms_es.audit.redecide import by_command, redecide
from oms_es.decimals import text
from oms_es.domain.commands import Command, DefineInstrument, SubmitOrder
from oms_es.domain.events import AmendRefused, Event, StateChanged
from oms_es.errors import OmsError
from oms_es.projections.state import State
from oms_es.timestamps import SECOND
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod, Origin, TradingLevel
from tests.builders import NOON, SYMBOL, TODAY, Desk, halt, limits, mark, num, said, told
from tests.domain.order_words import summary


def scenarios(folder: Path) -> list[Any]:
    """Return the scenarios of the text files in a folder as parameters: their lines with their numbers."""
    found: list[Any] = []
    for path in sorted(folder.glob("*.txt")):
        lines: list[Line] = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith("== "):
                lines = []
                found.append(pytest.param(lines, id=f"{path.stem}: {line[3:]}"))
            elif line and not line.startswith("#"):
                lines.append((f"{path.name}:{number}", line))
    return found


Line = tuple[str, str]  # where it is, and what it says


class Play:
    """A desk on which a scenario is played."""

    def __init__(self, method: CostMethod = CostMethod.FIFO) -> None:
        self.desk = Desk(method)

    def play(self, lines: list[Line]) -> None:
        for where, line in lines:
            if line.startswith("= "):
                for fact in line[2:].split("; "):
                    self.check(where, *fact.split())
                continue
            asked, _, expected = (part.strip() for part in line.partition("->"))
            *before, last = asked.split(", ")
            for words in before:
                self.perform(words)
            found = self.outcome(last) if expected else told(self.perform(last))
            assert not expected or agrees(found, expected), f"{where}: {found}"

    def check(self, where: str, name: str, *figures: str) -> None:
        right = " ".join(figures[-1:] if name in LAST_WORD else figures)
        assert CHECKS[name](self.desk, *figures) == right, f"{where}: {name}"

    def outcome(self, words: str) -> str:
        """Return what comes of a command: its events, or its error."""
        try:
            events = self.perform(words)
        except OmsError as error:
            return f"{type(error).__name__}: {error}"
        codes = [each.partition(":")[0] for event in events for each in violations(event)]
        return f"refused {' '.join(codes)}" if codes else told(events)

    def perform(self, words: str) -> list[Event]:
        prefix, colon, rest = words.partition(": ")
        account, _, order_id = (prefix if colon else "").rpartition("/")
        command = self.administrative(words.split())
        if command is not None:
            rest, order_id = words, ""
        verb, *more = (rest if colon or command else words).split()
        origin = Origin.COMMAND
        if verb == "import":
            origin, verb, *more = Origin.IMPORT, *more
        at = [word for word in more if word.startswith("at=")]
        occurred_at = self.desk.now + seconds(at[0][3:]) if at else None
        if verb == "wait":
            self.desk.now += seconds(more[0])
            return []
        if command is None:
            asked = " ".join(word for word in (verb, *more) if not word.startswith("at="))
            named = {name: value for name, value in (("order_id", order_id), ("account", account)) if value}
            command = said(asked, self.desk.waiting(), **named)
        any_account = not account and not isinstance(command, SubmitOrder)
        return self.desk.perform(command, origin=origin, occurred_at=occurred_at, any_account=any_account)

    @staticmethod
    def administrative(words: list[str]) -> Command | None:
        """Return a command that is about no order; None if it is about one."""
        match [word for word in words if not word.startswith("at=")]:
            case ["mark", price]:
                return mark(price)
            case ["mark", symbol, price]:
                return mark(price, symbol)
            case ["define", symbol, multiplier, currency]:
                return DefineInstrument(symbol=symbol, multiplier=num(multiplier), currency=currency)
            case ["limits", *changes]:
                named: dict[str, Any] = dict(each.split("=", 1) for each in changes)
                if "restricted" in named:
                    named["restricted"] = tuple(named["restricted"].split(","))
                return limits(named.pop("account", EVERY_ACCOUNT), **named)
            case ["halted" | "reduce_only" | "normal" as level, *account]:
                return halt(TradingLevel(level), *account)
            case _:
                return None

    def certify(self) -> None:
        """Check that a replay comes to the same state, and that every command is decided the same again."""
        state = State()
        for group in by_command(self.desk.log):
            assert redecide(state, group) is None
            state.replay(group)
        assert state.digest() == self.desk.state.digest()


def seconds(words: str) -> int:
    return int(Decimal(words) * SECOND)


def violations(event: Event) -> tuple[str, ...]:
    return event.violations if isinstance(event, StateChanged | AmendRefused) else ()


def agrees(found: str, expected: str) -> bool:
    """Return whether an outcome is the expected one; of an error, its name and a part of its words are enough."""
    if expected == "ok":
        return not found.startswith("refused") and ": " not in found
    name, _, words = expected.partition(": ")
    return found == expected or (found.startswith(f"{name}: ") and words in found)


def position(desk: Desk) -> Any:
    return next(row for row in desk.state.positions.rows() if row["symbol"] == SYMBOL)


def exposed(desk: Desk) -> str:
    sides = desk.state.orders.exposed("default", SYMBOL)
    return f"{text(sides.buys)} {text(sides.sells)}"


def named(desk: Desk, order_id: str) -> str:
    key = desk.state.orders.find(order_id, None)
    return "nothing" if key is None else "/".join(key)


def times(desk: Desk, *words: str) -> str:
    def after_noon(moment: int) -> str:
        return text(num(str(moment - NOON)) / SECOND)

    last = desk.log[-len(words) :]
    return " ".join(f"{after_noon(each.occurred_at)}/{after_noon(each.effective_at)}" for each in last)


# What may stand behind `= `: the words that follow have to be what the function returns, or their last one has.
CHECKS: dict[str, Callable[..., str]] = {
    "order": lambda desk, *_: summary(desk.order()),  # state, filled/quantity, open
    "orders": lambda desk, *_: " ".join(sorted("/".join(key) for key in desk.state.orders.orders)),
    "find": lambda desk, order_id, _: named(desk, order_id),  # account/order
    "ids": lambda desk, *_: " ".join(desk.order().external_order_ids),
    "fees": lambda desk, _: text(desk.order().fees),
    "fills": lambda desk, *_: " ".join(f"{fill.trade_id}:{text(fill.quantity)}" for fill in desk.order().fills),
    "held": lambda desk, _: text(desk.state.positions.position("default", SYMBOL)),
    "cost": lambda desk, _: text(position(desk)["cost_basis"]),
    "paid": lambda desk, _: text(position(desk)["fees"]),
    "pnl": lambda desk, _: text(desk.state.exposure("default", SYMBOL, TODAY, desk.now).daily_pnl),
    "waiting": lambda desk, _: str(len(desk.waiting())),
    "exposed": lambda desk, *_: exposed(desk),  # what orders and fills in quarantine may still buy, and sell
    "clamped": lambda desk, _: str(sum(getattr(each.event, "clamped", False) for each in desk.log)),
    "recorded": lambda desk, _: " ".join({text(num(str(each.recorded_at - NOON))) for each in desk.log}),
    "times": times,  # of the last events: occurred_at/effective_at, in seconds after noon
}
LAST_WORD = {"find"}
