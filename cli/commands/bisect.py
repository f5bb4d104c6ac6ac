"""`oms bisect`: the first event after which a claim is false."""

import time
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any, NamedTuple

import typer

from oms_es.audit.bisect import Turn, unknown_to
from oms_es.audit.bisect import bisect as find_turn
from oms_es.audit.expression import Expression
from oms_es.cli.columns import HISTORY, STATES
from oms_es.cli.context import print_quarantine_hint
from oms_es.cli.exit_codes import REFUSED
from oms_es.cli.options import AllowEmpty, Method, QueryOptions
from oms_es.cli.progress import events_with_progress
from oms_es.cli.render import print_message, show_json, show_table
from oms_es.cli.replay_source import Archive, Source, by_method, open_source
from oms_es.cli.results import point
from oms_es.domain.envelope import Recorded
from oms_es.errors import InvalidInput
from oms_es.queries.answers import event_row
from oms_es.queries.known_names import Unknown
from oms_es.queries.moments import Written
from oms_es.queries.queries import AsOf, cost_method

Row = dict[str, Any]
ExpressionText = Annotated[str, typer.Argument(metavar="EXPRESSION", help="A condition that is true or false.")]
Points = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="POINT POINT", help="Only the events between two points: seq:N, now, or a recording time."),
]


class _Range(NamedTuple):
    """The events to check."""

    first: int
    last: int
    past_end: bool = False  # a point of `--between` is past the end of the log

    @property
    def size(self) -> int:
        return max(0, self.last - self.first + 1)


def bisect(
    expression: ExpressionText,
    archive: Archive = None,
    between: Points = None,
    method: Method = None,
    allow_empty: AllowEmpty = False,
    *,
    options: QueryOptions,
) -> None:
    """
    Find the first event after which a claim is false.

    Exit code 1 if there is one. A claim compares figures with < <= > >= == !=, and, or, not, + - * and these functions:
    position(SYMBOL), realized_pnl(SYMBOL), unrealized_pnl(SYMBOL), daily_pnl(), open_orders(), quarantined(),
    mark(SYMBOL), state(ORDER), filled(ORDER), abs, min, max; those of an account take its name as a further text. A
    comparison with a figure that does not exist is false.

    Exit code 1 also if nothing is certified: the claim names a symbol, account or order that is not in the log up to
    the last event checked, or there is no event to check. --allow-empty accepts both.

    For example:

        oms bisect 'abs(position("BOLT")) <= 150 and daily_pnl() > -500'

        oms bisect 'quarantined() == 0' --between seq:40 now

        oms bisect 'open_orders() <= 10' day.omsday
    """
    claim, chosen, started = Expression(expression), cost_method(method), time.monotonic()
    points = [point(each, "--between") for each in between or ("seq:1", "now")]
    with open_source(archive, options) as found:
        events = _between(found, points)
        opening = partial(by_method, found.opening, chosen)
        used = opening().positions.method
        first, last = events.first, events.last

        def read(topics: frozenset[str] | None) -> Iterable[Recorded]:
            return events_with_progress(found.events(topics), last)

        turn = find_turn(claim, opening, read, found.history, first=first, last=last)
        unknown = unknown_to(claim, opening, found.events, last)
        certified = allow_empty or not (unknown or not events.size)
        if options.as_json:
            basis = {"seq": last, "first_seq": first, "method": used.value, "log_seq": found.last_seq}
            holds = turn is None if certified or turn is not None else None  # None: not certified
            answer = {"claim": expression, "holds": holds, "turn": _turn_row(turn)}
            doubts = {"events": events.size, "unknown": [each.row() for each in unknown]}
            show_json({"basis": {**basis, "past_end": events.past_end}, **answer, **doubts})
        elif turn is not None:
            _show(turn)
        _print_doubts(events, unknown, found.last_seq)
        _print_turn(turn, certified=certified)
        if found.opened is not None:
            print_quarantine_hint(len(found.opened.queries.waiting(found.opened.queries.basis(AsOf()))))
    checked = f"checked seq {first} to {last}" if events.size else "checked no event"
    print_message(f"{checked}, {used.value.upper()}, in {time.monotonic() - started:.2f} s")
    if turn is not None or not certified:
        raise typer.Exit(REFUSED)


def _between(found: Source, points: list[Written | None]) -> _Range:
    """Return the events to check; none if the first point is past the end of the log."""
    if found.opened is not None:
        moments = found.opened.moments
        bases = [found.opened.queries.basis(moments.point(each, known=True)) for each in points]
        (begin, end), past = (each.seq for each in bases), [each.past_end for each in bases]
    elif all(each is None or "seq" in each.parts for each in points):
        seqs = [found.last_seq if each is None else int(each.parts["seq"]) for each in points]
        (begin, end), past = (min(found.last_seq, seq) for seq in seqs), [seq > found.last_seq for seq in seqs]
    else:
        raise InvalidInput("--between: for a day archive the points are seq:N or now")
    if past[0]:
        return _Range(found.last_seq + 1, found.last_seq, past_end=True)
    first = max(found.first_seq, begin)
    if first > max(found.first_seq, end):
        raise InvalidInput(f"--between: it ends (seq {end}) before it begins (seq {first})")
    return _Range(first, end, past_end=past[1])


def _turn_row(turn: Turn | None) -> Row | None:
    if turn is None:
        return None
    return {
        "seq": turn.at.seq,
        "from_the_start": turn.from_the_start,
        "event": event_row(turn.at),
        "before": turn.before,
        "after": turn.after,
        "history": [event_row(each) for each in turn.history],
    }


def _show(turn: Turn) -> None:
    show_table(HISTORY, [event_row(turn.at)])
    before, after = _figures(turn.before), _figures(turn.after)
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


def _print_doubts(events: _Range, unknown: list[Unknown], log_seq: int) -> None:
    """Print why nothing is certified: names that are not in the log, or no events."""
    for each in unknown:
        print_message(f"{each} up to seq {max(0, events.last)}{each.hint()}")
    if events.past_end:
        print_message(f"--between goes past the end of the log (seq {log_seq})")
    if not events.size:
        print_message("there is no event to check")


def _print_turn(turn: Turn | None, *, certified: bool) -> None:
    if turn is None and not certified:
        print_message("nothing is certified: exit code 1 (--allow-empty accepts it)")
    elif turn is None:
        print_message("the claim is true after every event")
    elif turn.from_the_start:
        print_message(f"the claim is false from the start, and after seq {turn.at.seq}")
    else:
        print_message(f"the claim is false for the first time after seq {turn.at.seq}")
