"""`oms bisect`: the first event after which a claim is false."""

from typing import Annotated, Any

import typer

from oms_es.bisecting import Turn
from oms_es.bisecting import bisect as turned
from oms_es.claims import Claim
from oms_es.cli.answering import point
from oms_es.cli.guard import REFUSED
from oms_es.cli.moments import say_basis
from oms_es.cli.opening import asking
from oms_es.cli.options import ConfigPath, Json, LogPath, Method
from oms_es.cli.progress import counting
from oms_es.cli.render import say, show_json, show_table
from oms_es.cli.rows import event_row
from oms_es.cli.tables import HISTORY, STATES
from oms_es.errors import InvalidInput
from oms_es.instants import iso
from oms_es.reading_desk import cost_method

Row = dict[str, Any]
Expression = Annotated[str, typer.Argument(metavar="EXPRESSION", help="A claim that is true or false.")]
Points = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="POINT POINT", help="Only from the one to the other: seq:N, now, or what the log held then."),
]


def bisect(
    expression: Expression,
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
    """
    claim, chosen = Claim(expression), cost_method(method)
    moments = [point(each, known=True) for each in between or ("seq:1", "now")]
    with asking(log, config) as asked:
        begin, basis = (asked.questions.basis(each, chosen) for each in moments)
        first = max(1, begin.seq)
        if first > max(1, basis.seq):
            raise InvalidInput(f"--between: it ends (seq {basis.seq}) before it begins (seq {first})")
        with counting() as told:
            watch = None if told is None else lambda seen: told(seen, basis.seq - first + 1)
            turn = turned(asked.log, claim, first=first, last=basis.seq, method=basis.method, progress=watch)
        if as_json:
            show_json({"basis": basis.rows(), "claim": expression, "holds": turn is None, "turn": _turn_row(turn)})
        elif turn is not None:
            _show(turn)
        _say(turn)
        say_basis(asked, basis, f"looked at from seq {first},", method=True)
    if turn is not None:
        raise typer.Exit(REFUSED)


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
