"""`oms replay`: a report of each trading day, and whether every command is decided the same again."""

import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from oms_es.audit.archive_check import anchor_words
from oms_es.audit.replay import Replay
from oms_es.audit.replay import replay as replay_events
from oms_es.audit.what_if import what_if
from oms_es.cli.columns import CHECKED, FLIPS, LOST, WHAT_IF_EXPOSURE, WHAT_IF_LOSS, WHAT_IF_PNL
from oms_es.cli.commands.tail import line
from oms_es.cli.context import print_quarantine_hint
from oms_es.cli.exit_codes import REFUSED
from oms_es.cli.filters import check_filter
from oms_es.cli.options import AccountFilter, OfDay, QueryOptions
from oms_es.cli.progress import events_with_progress
from oms_es.cli.render import counted, plainly, print_message, show, show_json, show_table
from oms_es.cli.replay_source import Archive, Source, open_source
from oms_es.domain.envelope import Recorded
from oms_es.domain.validation import positive
from oms_es.engine.settings import Settings
from oms_es.errors import InvalidInput
from oms_es.identifiers import escaped
from oms_es.projections.projection import plain
from oms_es.projections.snapshots.state_store import LEAST, save_state
from oms_es.projections.state import State
from oms_es.proof.keys import VerifierKey
from oms_es.queries.known_names import Name, topics_with, unknown_names
from oms_es.timestamps import SECOND

Limits = Annotated[
    Path | None,
    typer.Option("--what-if", metavar="FILE", help="Decide again under other limits (YAML); nothing is written."),
]
Verifiers = Annotated[
    list[Path] | None,
    typer.Option("--key", metavar="FILE.pub", help="A verifier key, for the checkpoint in an archive."),
]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Do not check the hash chain while the log is read.")]
FromZero = Annotated[bool, typer.Option("--from-zero", help="Start from the first event, not from a closed day.")]
LONGEST_PAUSE = 1.0  # seconds
Row = dict[str, Any]
Check = Annotated[bool, typer.Option("--check", help="Decide every command again and compare.")]
Speed = Annotated[
    str | None,
    typer.Option(
        metavar="N|max",
        help="Show one line per event, N times as fast as it happened (a pause is at most 1 s), or without pauses.",
    ),
]


def replay(
    archive: Archive = None,
    day: OfDay = None,
    check: Check = False,
    speed: Speed = None,
    limits: Limits = None,
    from_zero: FromZero = False,
    no_verify: NoVerify = False,
    keys: Verifiers = None,
    *,
    only: AccountFilter,
    options: QueryOptions,
) -> None:
    """
    Replay the log and report each trading day.

    Of a day archive it also states whether a signed checkpoint anchors its events (--key).

    The log, or the day archive, is only read; its hash chain is checked on the way (not with --no-verify). --day and
    --account select what counts; the digest is always of the whole state after the day. A day starts from the last
    closed day before it, if that was replayed before, or from the first event (--from-zero). With --check, exit code 1
    if a command is decided differently now. Exit code 1 also if a closed day no longer has its digests.

    Exit code 1 also if nothing is certified: no event is booked on the day, the log has no such account, --check found
    no command, or --what-if no order that is judged (imported ones are not). --allow-empty accepts it.

    For example:

        oms replay --day 2024-03-15 --check

        oms replay day.omsday --check

        oms replay --day 2024-03-15 --what-if tighter.yaml

        oms replay --speed 3600
    """
    pace, account = _pace(speed), only.account
    if limits is not None:
        if check or pace is not None or account is not None:
            raise InvalidInput("--what-if goes with --day, and not with --check, --speed or --account")
        _what_if(archive, limits, day, options, allow_empty=only.allow_empty)
        return
    started = time.monotonic()
    with open_source(archive, options, day, from_zero=from_zero or options.no_cache, verified=not no_verify) as found:
        events: Iterable[Recorded] = found.events(None)
        if pace is None:
            events = events_with_progress(events, found.last_seq)
        else:
            events = _timeline(events, found.day, account, pace, print_message if options.as_json else show)
        opening, save = found.opening(), _state_saver(found)
        outcome = replay_events(events, opening, day=found.day, account=account, check=check, keep=save)
        if options.as_json:
            show_json(plain(outcome.rows()))
        else:
            _show(outcome.rows())
        _print_outcome(outcome, found.day, account)
        print_quarantine_hint(outcome.waiting)
        if found.archive is not None:
            print_message(anchor_words(found.archive, [VerifierKey.load(each) for each in keys or ()]))
        _print_duration(found, time.monotonic() - started)
        if outcome.divergent or any(each.differing for each in outcome.days):
            raise typer.Exit(REFUSED)
        _check_names(found, account, found.day if not outcome.days else None, allow_empty=only.allow_empty)
    if not only.allow_empty and outcome.checked is not None and not outcome.checked:
        raise typer.Exit(REFUSED)


def _check_names(found: Source, account: str | None, day: str | None, *, allow_empty: bool) -> None:
    """Report an account, or a day without events, that the log or the archive does not contain."""
    if found.opened is not None:
        check_filter(found.opened, {"account": account, "day": day}, allow_empty=allow_empty)
        return
    names = [] if account is None else [Name("account", account)]
    for each in unknown_names(names, found.events(topics_with(names)), found.opening()):
        print_message(f"{each} in this archive{each.hint()}")
        if not allow_empty:
            raise typer.Exit(REFUSED)


def _state_saver(found: Source) -> Callable[[State], None]:
    """Return a function that saves the state of a closed day beside the log, if there are enough events before it."""
    log, least = None if found.opened is None else found.opened.log, found.first_seq + LEAST

    def save(state: State) -> None:
        if log is not None and state.committed_seq >= least:
            save_state(log, "day", state)

    return save


def _print_duration(found: Source, seconds: float) -> None:
    events, before = max(0, found.last_seq - found.first_seq + 1), found.first_seq - 1
    rate = f" ({events / seconds:,.0f} events/s)" if seconds else ""
    start = f", from the closed day before (seq {before})" if before else ""
    print_message(f"{counted(events, 'event')} replayed in {seconds:.2f} s{rate}{start}")


# --- what if ---


def _what_if(archive: Path | None, limits: Path, day: str | None, options: QueryOptions, *, allow_empty: bool) -> None:
    """Decide the commands of a log, or of a day, under other limits, and print the differences."""
    settings = Settings.from_file(limits)
    other = {key: settings.values[key] for key in settings.named}
    if not other:
        raise InvalidInput(f"--what-if: {limits} names no limit")
    with open_source(archive, options, day) as found:
        events = events_with_progress(found.events(None), found.last_seq)
        worlds = (found.opening(), found.opening())
        result = plain(what_if(events, other, worlds=worlds, day=found.day).rows())
        restricted = [Name("symbol", each) for each in other.get("risk.restricted") or ()]
        unknown = unknown_names(restricted, found.events(topics_with(restricted)), found.opening())
    _show_what_if(result, day, as_json=options.as_json)
    for each in unknown:
        print_message(f"{each}, which would be restricted{each.hint()}")
    if not (result["judged"] or allow_empty):
        raise typer.Exit(REFUSED)


def _show_what_if(result: Row, day: str | None, *, as_json: bool) -> None:
    if as_json:
        show_json(result)
    else:
        outcomes = [{name: "; ".join(flip[name]) or "accepted" for name in ("was", "now")} for flip in result["flips"]]
        show_table(FLIPS, [{**flip, **outcome} for flip, outcome in zip(result["flips"], outcomes, strict=True)])
        show_table(LOST, result["fills"])
        show_table(WHAT_IF_PNL, result["days"])
        show_table(WHAT_IF_EXPOSURE, result["exposure"])
        show_table(WHAT_IF_LOSS, result["daily_loss"])
    if day is not None and not result["commands"]:
        print_message(f"nothing is booked on {day}")
    flips, fills = counted(len(result["flips"]), "verdict"), counted(result["lost_fills"], "fill")
    judged = f"of {counted(result['judged'], 'order or amendment', 'orders and amendments')} judged"
    print_message(f"{flips} {judged} would be different, and {fills} could not have happened")
    if result["not_judged"]:
        imported = counted(result["not_judged"], "order or amendment", "orders and amendments")
        print_message(f"{imported} not judged, because imported")
    if not result["judged"]:
        print_message("nothing is certified: no order was judged")
    print_message(result["note"])


# --- timeline ---


def _pace(speed: str | None) -> Decimal | None:
    """Return the speed as a multiple of real time; 0 is without pauses."""
    if speed is None:
        return None
    try:
        return Decimal(0) if speed == "max" else positive(speed, "--speed")
    except InvalidInput as error:
        raise InvalidInput(f"{error}; expected a number above 0, or max") from None


def _timeline(
    events: Iterable[Recorded], day: str | None, account: str | None, pace: Decimal, write: Callable[[str], None]
) -> Iterator[Recorded]:
    """Yield the events and write a line for each at its time; an event that was reported late causes no pause."""
    now: int | None = None
    for each in events:
        if day in (None, each.trading_day) and (account is None or each.account in ("", account)):
            if pace and now is not None and each.effective_at > now:
                seconds = (each.effective_at - now) / SECOND / float(pace)
                time.sleep(min(LONGEST_PAUSE, seconds))
            now = each.effective_at if now is None else max(now, each.effective_at)
            write(line(each))
        yield each


# --- report ---


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
        yield f"  late         {counted(day['late_facts'], 'event')} of days closed before"
    if day["refusals"]:
        yield f"  refusals     {_counts(day['refusals'])}"
    for title, name in (("worst loss", "worst_loss"), ("most held", "largest_exposure")):
        for key, mark in day[name].items():
            yield f"  {title:<11}  {key}: {_high_water(mark)}"
    for row in day["pnl"]:
        gross, fees, net, level = (
            plainly(row[name]) for name in ("gross_realized_pnl", "fees", "realized_pnl", "unrealized_pnl")
        )
        realized = f"{net} {row['currency']} ({gross} - fees {fees})"
        yield f"  P&L          {row['account']}/{row['symbol']}: {realized}, unrealized {level}"
    yield f"  digest       {day['digest']}"


def _counts(counts: Row) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _high_water(mark: Row) -> str:
    limit = "no limit" if mark["limit"] is None else f"limit {plainly(mark['limit'])}"
    where = f", after seq {mark['seq']}" if mark["seq"] else ""
    return f"{plainly(mark['most'])} ({limit}{where})"


def _show_divergence(found: Row) -> None:
    """Print the first command that is decided differently: the difference, and the state before it."""
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
    """Return an event with the fields that differ from `other`."""
    fields = [f"{name}={plainly(value)}" for name, value in event.items() if other.get(name) != value]
    return " ".join([event["event"], *(each for each in fields if not each.startswith("event="))])


def _print_outcome(outcome: Replay, day: str | None, account: str | None) -> None:
    if not outcome.days:
        whose = "" if account is None else f" for account {account}"
        print_message(f"nothing is booked{whose} on {day}" if day else f"nothing is booked{whose}")
    for each in outcome.days:
        if each.differing:
            print_message(
                f"{each.trading_day} was closed, and NO LONGER HAS its digests of {', '.join(each.differing)}"
            )
    if outcome.checked is not None:
        total, wrong = outcome.checked.total(), len(outcome.divergent)
        how = f"{wrong} DECIDED DIFFERENTLY NOW" if wrong else "all as recorded" if total else "nothing is certified"
        whose = "" if account is None else " of all accounts"
        print_message(f"{counted(total, 'command')}{whose} decided again: {how}")
