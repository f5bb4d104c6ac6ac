"""`oms bisect`: the first event after which a claim is false."""

import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from oms_es.bisecting import Turn
from oms_es.bisecting import bisect as turned
from oms_es.claims import Claim
from oms_es.cli.answering import point
from oms_es.cli.guard import REFUSED
from oms_es.cli.opening import say_waiting
from oms_es.cli.options import ConfigPath, Json, LogPath, Method
from oms_es.cli.progress import counting
from oms_es.cli.render import say, show_json, show_table
from oms_es.cli.rows import event_row
from oms_es.cli.sources import Source, by_method, source
from oms_es.cli.tables import HISTORY, STATES
from oms_es.errors import InvalidInput
from oms_es.instants import iso
from oms_es.reading import When
from oms_es.reading_desk import cost_method

Row = dict[str, Any]
Expression = Annotated[str, typer.Argument(metavar="EXPRESSION", help="A claim that is true or false.")]
Boxed = Annotated[
    Path | None, typer.Argument(metavar="[BOX]", help="A day that `oms export -o day.omsday` packed, instead of a log.")
]
Points = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="POINT POINT", help="Only from the one to the other: seq:N, now, or what the log held then."),
]


def bisect(
    expression: Expression,
    box: Boxed = None,
    between: Points = None,
    log: LogPath = None,
    config: ConfigPath = None,
    method: Method = None,
    as_json: Json = False,
) -> None:
    """
    Find the first event after which a claim about the state is false; exit code 1 when there is one.

    A claim compares figures with < <= > >= == !=, and, or, not, + - * and these functions: position(SYMBOL),
    realized_pnl(SYMBOL), unrealized_pnl(SYMBOL), daily_pnl(), open_orders(), quarantined(), mark(SYMBOL), state(ORDER),
    filled(ORDER), abs, min, max; those of an account take its name as one more text. A figure that does not exist makes
    its comparison false.

    For example:

        oms bisect 'abs(position("GOOG")) <= 1000 and daily_pnl() > -500'

        oms bisect 'quarantined() == 0' --between seq:120 now

        oms bisect 'open_orders() <= 10' amzn.omsday
    """
    claim, chosen, begun = Claim(expression), cost_method(method), time.monotonic()
    points = [point(each, known=True) for each in between or ("seq:1", "now")]
    with source(box, log, config) as found:
        first, last = _between(found, points)
        opening = partial(by_method, found.opening, chosen)
        used = opening().positions.method
        with counting() as told:
            watch = None if told is None else lambda seen: told(seen, last - first + 1)
            turn = turned(claim, opening, found.events, found.history, first=first, last=last, progress=watch)
        basis = {"seq": last, "first_seq": first, "method": used.value, "log_seq": found.last_seq}
        if as_json:
            show_json({"basis": basis, "claim": expression, "holds": turn is None, "turn": _turn_row(turn)})
        elif turn is not None:
            _show(turn)
        _say(turn)
        if found.asked is not None:
            say_waiting(len(found.asked.questions.waiting(found.asked.questions.basis(When()))))
    say(f"looked at from seq {first} to {last}, {used.value.upper()}, in {_seconds(begun)}")
    if turn is not None:
        raise typer.Exit(REFUSED)


def _between(found: Source, points: list[When]) -> tuple[int, int]:
    """Return the first and the last event to be looked at."""
    if found.asked is not None:
        begin, end = (found.asked.questions.basis(each).seq for each in points)
    elif all(each.known_at is None for each in points):
        begin, end = (min(found.last_seq, found.last_seq if each.at_seq is None else each.at_seq) for each in points)
    else:
        raise InvalidInput("--between: of a box the points are seq:N or now")
    first = max(found.first_seq, begin)
    if first > max(found.first_seq, end):
        raise InvalidInput(f"--between: it ends (seq {end}) before it begins (seq {first})")
    return first, end


def _seconds(begun: float) -> str:
    return f"{time.monotonic() - begun:.2f} s"


def _turn_row(turn: Turn | None) -> Row | None:
    if turn is None:
        return None
    return {
        "seq": turn.at.seq,
        "from_the_start": turn.from_the_start,
        "event": event_row(turn.at),
        "before": _state(turn.before),
        "after": _state(turn.after),
        "history": [event_row(each) for each in turn.history],
    }


def _state(state: Row) -> Row:
    """Return a state with its times as text."""
    return {**state, "positions": [_timed(each) for each in state["positions"]]}


def _timed(position: Row) -> Row:
    return {
        **position,
        **{name: None if position[name] is None else iso(position[name]) for name in ("mark_at", "updated_at")},
    }


def _show(turn: Turn) -> None:
    show_table(HISTORY, [event_row(turn.at)])
    before, after = _figures(_state(turn.before)), _figures(_state(turn.after))
    names = [*after, *(name for name in before if name not in after)]
    lines = [{"figure": name, "before": before.get(name), "after": after.get(name)} for name in names]
    show_table(STATES, [each for each in lines if each["before"] is not None or each["after"] is not None])
    show_table(HISTORY, map(event_row, turn.history))


def _figures(state: Row) -> Row:
    """Return the figures of a state by name, on one level."""
    order = state["order"] or {}
    found = {f"order {order['order_id']}: {name}": order[name] for name in _ORDER} if order else {}
    for held in state["positions"]:
        found |= {f"{held['account']}/{held['symbol']}: {name}": held[name] for name in _POSITION}
    return {**found, "open orders": state["open_orders"]}


_ORDER = ("state", "quantity", "filled_quantity", "open_quantity", "waiting")
_POSITION = ("quantity", "cost_basis", "realized_pnl", "mark_price", "unrealized_pnl")


def _say(turn: Turn | None) -> None:
    if turn is None:
        say("the claim holds throughout")
    elif turn.from_the_start:
        say(f"the claim is false from the start, and after seq {turn.at.seq}")
    else:
        say(f"the claim is false for the first time after seq {turn.at.seq}")
