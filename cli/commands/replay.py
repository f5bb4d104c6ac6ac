"""`oms replay`: trading days again, what they came to, and whether the code would decide the same."""

import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from oms_es.audit.replay import Replay, replay_from
from oms_es.audit.what_if import what_if
from oms_es.cli.columns import CHECKED, FLIPS, LOST, WHAT_IF_EXPOSURE, WHAT_IF_LOSS, WHAT_IF_PNL
from oms_es.cli.commands.tail import line
from oms_es.cli.context import print_quarantine_hint
from oms_es.cli.exit_codes import REFUSED
from oms_es.cli.filters import check_filter
from oms_es.cli.options import AllowEmpty, ConfigPath, Json, LogPath, OfAccount, OfDay
from oms_es.cli.progress import counting
from oms_es.cli.render import counted, plainly, print_message, show, show_json, show_table
from oms_es.cli.replay_source import Source, source
from oms_es.cli.results import check_names
from oms_es.domain.envelope import Recorded
from oms_es.domain.validation import positive
from oms_es.engine.settings import Settings
from oms_es.errors import InvalidInput
from oms_es.identifiers import escaped
from oms_es.projections.projection import plain
from oms_es.projections.snapshots.state_store import LEAST, save_state
from oms_es.projections.state import State
from oms_es.queries.known_names import Name, topics_with, unknown_names
from oms_es.timestamps import SECOND

Boxed = Annotated[
    Path | None, typer.Argument(metavar="[BOX]", help="A day that `oms export -o day.omsday` packed, instead of a log.")
]
Limits = Annotated[
    Path | None,
    typer.Option("--what-if", metavar="FILE", help="Other limits (YAML): a thought experiment, nothing is written."),
]
FromZero = Annotated[bool, typer.Option("--from-zero", help="Begin with the first event, not with a closed day.")]
LONGEST_PAUSE = 1.0  # seconds
Row = dict[str, Any]
Check = Annotated[bool, typer.Option("--check", help="Decide every command again, and compare.")]
Speed = Annotated[
    str | None,
    typer.Option(
        metavar="N|max",
        help="Show a timeline, a line an event, N times as fast as it was (no pause beyond 1 s), or without pauses.",
    ),
]


def replay(
    box: Boxed = None,
    day: OfDay = None,
    account: OfAccount = None,
    check: Check = False,
    speed: Speed = None,
    limits: Limits = None,
    from_zero: FromZero = False,
    log: LogPath = None,
    config: ConfigPath = None,
    allow_empty: AllowEmpty = False,
    as_json: Json = False,
) -> None:
    """
    Go through a log, or a day in a box, again, and show what each trading day came to; the log is only read.

    --day and --account choose what is counted; the digest is of the whole state after the day. A day begins with the
    last closed day before it, where that was replayed before, or with the first event (--from-zero). With --check, a
    command that is decided differently now ends with exit code 1; so does a closed day that no longer comes to its
    digests.

    Exit code 1 also when nothing is certified: no event is booked on the day, the log has no such account, --check
    found no command to decide, or --what-if no order to judge (imported ones are not judged). --allow-empty accepts it.

    For example:

        oms replay --day 2024-03-15 --check

        oms replay day.omsday --check

        oms replay --day 2024-03-15 --what-if tighter.yaml

        oms replay --speed 3600
    """
    pace = _pace(speed)
    check_names(None, account)
    if limits is not None:
        if check or pace is not None or account is not None:
            raise InvalidInput("--what-if goes with --day, and not with --check, --speed or --account")
        _experiment(box, limits, log, config, day, as_json=as_json, allow_empty=allow_empty)
        return
    begun = time.monotonic()
    with source(box, log, config, day, from_zero=from_zero) as found:
        events: Iterable[Recorded] = found.events(None)
        if pace is not None:
            events = _timeline(events, found.day, account, pace, print_message if as_json else show)
        with counting() as told:
            first, last = found.first_seq, found.last_seq
            watch = None if told is None or pace is not None else lambda seq: told(seq - first + 1, last - first + 1)
            opening, keep = found.opening(), _state_saver(found)
            outcome = replay_from(
                events, opening, day=found.day, account=account, check=check, progress=watch, keep=keep
            )
        if as_json:
            show_json(plain(outcome.rows()))
        else:
            _show(outcome.rows())
        _print_outcome(outcome, found.day, account)
        print_quarantine_hint(outcome.waiting)
        _print_duration(first, last, time.monotonic() - begun)
        if outcome.divergent or any(each.differing for each in outcome.days):
            raise typer.Exit(REFUSED)
        _check_names(found, account, found.day if not outcome.days else None, allow_empty=allow_empty)
    if not allow_empty and outcome.checked is not None and not outcome.checked:
        raise typer.Exit(REFUSED)


def _check_names(found: Source, account: str | None, day: str | None, *, allow_empty: bool) -> None:
    """Report an account, or a day that was not seen, that the log or the box does not contain."""
    if found.opened is not None:
        check_filter(found.opened, account=account, day=day, allow_empty=allow_empty)
        return
    names = [] if account is None else [Name("account", account)]
    for each in unknown_names(names, found.events(topics_with(names)), found.opening()):
        print_message(f"{each} in this box{each.hint()}")
        if not allow_empty:
            raise typer.Exit(REFUSED)


def _state_saver(found: Source) -> Callable[[State], None]:
    """Return what keeps the state of a closed day beside the log, where it is worth it."""
    log, least = None if found.opened is None else found.opened.log, found.first_seq + LEAST

    def keep_it(state: State) -> None:
        if log is not None and state.committed_seq >= least:
            save_state(log, "day", state)

    return keep_it


def _print_duration(first: int, last: int, seconds: float) -> None:
    events = max(0, last - first + 1)
    rate = f" ({events / seconds:,.0f} events/s)" if seconds else ""
    start = f", from the closed day before (seq {first - 1}) on" if first > 1 else ""
    print_message(f"{counted(events, 'event')} gone through in {seconds:.2f} s{rate}{start}")


# --- under other limits ---


def _experiment(
    box: Path | None,
    limits: Path,
    log: Path | None,
    config: Path | None,
    day: str | None,
    *,
    as_json: bool,
    allow_empty: bool,
) -> None:
    """Put the commands of a log, or of a day, to other limits, and show what would have been."""
    settings = Settings.from_file(limits)
    other = {key: settings.values[key] for key in settings.named}
    if not other:
        raise InvalidInput(f"--what-if: {limits} names no limit")
    with source(box, log, config, day) as found, counting() as told:
        first, last = found.first_seq, found.last_seq
        watch = None if told is None else lambda seq: told(seq - first + 1, last - first + 1)
        worlds = (found.opening(), found.opening())
        seen = plain(what_if(found.events(None), other, worlds=worlds, day=found.day, progress=watch).rows())
        restricted = [Name("symbol", each) for each in other.get("risk.restricted") or ()]
        unknown = unknown_names(restricted, found.events(topics_with(restricted)), found.opening())
    _show_experiment(seen, day, as_json=as_json)
    for each in unknown:
        print_message(f"{each}, which would be restricted{each.hint()}")
    if not (seen["judged"] or allow_empty):
        raise typer.Exit(REFUSED)


def _show_experiment(seen: Row, day: str | None, *, as_json: bool) -> None:
    if as_json:
        show_json(seen)
    else:
        show_table(FLIPS, map(_flip_row, seen["flips"]))
        show_table(LOST, seen["fills"])
        show_table(WHAT_IF_PNL, seen["days"])
        show_table(WHAT_IF_EXPOSURE, seen["exposure"])
        show_table(WHAT_IF_LOSS, seen["daily_loss"])
    if day is not None and not seen["commands"]:
        print_message(f"nothing is booked on {day}")
    flips, fills = counted(len(seen["flips"]), "verdict"), counted(seen["lost_fills"], "fill")
    judged = f"of {counted(seen['judged'], 'order or amendment', 'orders and amendments')} judged"
    print_message(f"{flips} {judged} would be other ones, and {fills} could then not have happened")
    if seen["not_judged"]:
        imported = counted(seen["not_judged"], "order or amendment", "orders and amendments")
        print_message(f"{imported} not judged, because imported")
    if not seen["judged"]:
        print_message("nothing is certified: no order was judged")
    print_message(seen["note"])


def _flip_row(flip: Row) -> Row:
    return {**flip, **{name: "; ".join(flip[name]) or "accepted" for name in ("was", "now")}}


# --- timeline ---


def _pace(speed: str | None) -> Decimal | None:
    """Return how many times as fast as it was; 0 is without pauses."""
    if speed is None:
        return None
    try:
        return Decimal(0) if speed == "max" else positive(speed, "--speed")
    except InvalidInput as error:
        raise InvalidInput(f"{error}; expected a number above 0, or max") from None


def _timeline(
    events: Iterable[Recorded], day: str | None, account: str | None, pace: Decimal, tell: Callable[[str], None]
) -> Iterator[Recorded]:
    """Pass the events on, each with its line once its time has come; what is told late does not turn time back."""
    now: int | None = None
    for each in events:
        if day in (None, each.trading_day) and (account is None or each.account in ("", account)):
            if pace and now is not None and each.effective_at > now:
                seconds = (each.effective_at - now) / SECOND / float(pace)
                time.sleep(min(LONGEST_PAUSE, seconds))
            now = each.effective_at if now is None else max(now, each.effective_at)
            tell(line(each))
        yield each


# --- what it came to ---


def _show(found: Row) -> None:
    for day in found["days"]:
        show("\n".join([*map(escaped, _day_lines(day)), ""]))
    if found["check"] is not None:
        kinds = [{"kind": kind, "count": count} for kind, count in found["check"]["kinds"].items()]
        show_table(CHECKED, kinds)
        if found["check"]["first"] is not None:
            _show_divergence(found["check"]["first"])
    show(f"{counted(found['events'], 'event')}, digest {found['digest']}")


def _day_lines(day: Row) -> Iterator[str]:
    yield (
        f"{day['trading_day']}: {counted(day['events'], 'event')} (seq {day['first_seq']} to {day['last_seq']}), "
        f"{counted(day['commands'], 'command')}{', closed' if day['closed'] else ''}"
    )
    yield f"  orders       {_counts(day['orders'])}"
    kinds = _counts({name: day[name] for name in ("late", "busted", "corrected")})
    quarantined = f"{day['quarantined']} quarantined, {day['waiting']} waiting at the day's end"
    yield f"  fills        {day['fills']} ({kinds}), {quarantined}"
    if day["late_facts"]:
        yield f"  late         {counted(day['late_facts'], 'event')} of days that were closed before"
    if day["refusals"]:
        yield f"  refusals     {_counts(day['refusals'])}"
    for title, name in (("worst loss", "worst_loss"), ("most held", "largest_exposure")):
        for key, reach in day[name].items():
            yield f"  {title:<11}  {key}: {_high_water(reach)}"
    for row in day["pnl"]:
        yield f"  P&L          {row['account']}/{row['symbol']}: {_earned(row)}"
    yield f"  digest       {day['digest']}"


def _counts(counts: Row) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _high_water(reach: Row) -> str:
    limit = "no limit" if reach["limit"] is None else f"limit {plainly(reach['limit'])}"
    where = f", after seq {reach['seq']}" if reach["seq"] else ""
    return f"{plainly(reach['most'])} ({limit}{where})"


def _earned(row: Row) -> str:
    parts = f"{plainly(row['gross_realized_pnl'])} - fees {plainly(row['fees'])}"
    realized = f"{plainly(row['realized_pnl'])} {row['currency']} ({parts})"
    return f"{realized}, unrealized {plainly(row['unrealized_pnl'])}"


def _show_divergence(found: Row) -> None:
    """Show the first command that is decided differently: what differs, and the state it was decided on."""
    show(escaped(f"seq {found['seq']}: {found['command']} is decided differently now; the state before it:"))
    for name, value in found["state"].items():
        show(escaped(f"    {name}: {plainly(value)}"))
    for sign, lines in (("-", found["recorded"]), ("+", found["decided"])):
        other = found["decided"] if sign == "-" else found["recorded"]
        for number, event in enumerate(lines):
            show(escaped(f"  {sign} {_differing(event, other[number] if number < len(other) else {})}"))
    if found["error"] is not None:
        show(escaped(f"  + {found['error']}"))


def _differing(event: Row, other: Row) -> str:
    """Return an event with the fields in which it differs from the other one."""
    fields = [f"{name}={plainly(value)}" for name, value in event.items() if other.get(name) != value]
    return " ".join([event["event"], *(each for each in fields if not each.startswith("event="))])


def _print_outcome(outcome: Replay, day: str | None, account: str | None) -> None:
    if not outcome.days:
        whose = "" if account is None else f" for account {account}"
        print_message(f"nothing is booked{whose} on {day}" if day else f"nothing is booked{whose}")
    for each in outcome.days:
        if each.differing:
            print_message(
                f"{each.trading_day} was closed, and NO LONGER COMES TO its digests of {', '.join(each.differing)}"
            )
    if outcome.checked is not None:
        total, wrong = outcome.checked.total(), len(outcome.divergent)
        how = f"{wrong} DECIDED DIFFERENTLY NOW" if wrong else "all as recorded" if total else "nothing is certified"
        whose = "" if account is None else " of all accounts"
        print_message(f"{counted(total, 'command')}{whose} decided again: {how}")
