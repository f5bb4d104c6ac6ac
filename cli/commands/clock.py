"""`oms clock`: our clock beside the log's last event, and the way out after an event from the future."""

import time

import typer

from oms_es import OrderManagementSystem
from oms_es.cli.options import CommandOptions, CommonOptions, Reason
from oms_es.cli.render import print_message, show, show_json
from oms_es.timestamps import SECOND, iso


def clock(context: typer.Context, *, options: CommonOptions) -> None:
    """
    Compare our clock with the log, or accept it.

    For example:

        oms clock --log day.db
    """
    if context.invoked_subcommand is not None:
        return
    with options.open() as opened:
        now, recorded_at = time.time_ns(), opened.log.head().recorded_at
    ahead = max(0, recorded_at - now) // SECOND
    if options.as_json:
        show_json({"clock": iso(now), "recorded_at": iso(recorded_at), "ahead_seconds": ahead})
    else:
        show(f"our clock {iso(now)}, last event recorded at {iso(recorded_at)}")
        if ahead:
            print_message(f"the log is {ahead} s ahead of our clock; if our clock is right: oms clock accept")


def accept(reason: Reason = "", *, options: CommandOptions) -> None:
    """
    Accept our clock although the log is ahead of it.

    After an event that a clock far ahead has recorded, new orders are refused (CLOCK) and later events are booked on
    its trading day. This records that our clock is right: from here on trading days and event times follow it. Times
    of recording never run backwards; they remain those of that event until our clock is there.

    For example:

        oms clock accept --reason "the clock of host b was wrong"
    """
    with options.open() as opened:
        if opened.log.head().recorded_at <= time.time_ns():
            print_message("our clock is not behind the log, so there is nothing to accept")
            return

    async def run(oms: OrderManagementSystem) -> tuple[int, int]:
        await oms.accept_clock(reason=reason, **options.recorded())
        state = oms.sequencer.state
        return state.clock, state.recorded_at

    accepted, recorded_at = options.carry_out(run)
    if options.as_json:
        show_json({"clock": iso(accepted), "recorded_at": iso(recorded_at)})
    else:
        print_message(
            f"our clock is accepted: {iso(accepted)}; events are recorded at {iso(recorded_at)} until it is there"
        )
