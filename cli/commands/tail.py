"""`oms tail`: the last events, and those that come, whichever process appends them."""

import time
from collections.abc import Iterable
from typing import Annotated

import typer

from oms_es.cli.context import open_log
from oms_es.cli.describe_event import describe_event
from oms_es.cli.options import ConfigPath, Json, LogPath
from oms_es.cli.render import brief, print_message, show, show_json
from oms_es.cli.rows import event_row
from oms_es.domain.envelope import Recorded
from oms_es.errors import InvalidInput
from oms_es.identifiers import escaped
from oms_es.timestamps import iso

LAST = 10  # events shown at first
POLL = 0.2  # seconds
Follow = Annotated[bool, typer.Option("--follow/--no-follow", help="Go on with what comes, until Ctrl-C.")]
After = Annotated[
    int | None, typer.Option("--after", metavar="SEQ", help="Begin after this event, not with the last ten.")
]


def tail(
    follow: Follow = True,
    after: After = None,
    log: LogPath = None,
    config: ConfigPath = None,
    as_json: Json = False,
) -> None:
    """
    Show the last ten events, and go on with what any process appends.

    With --json each event is a JSON object on a line of its own.

    For example:

        oms tail --after 70 --no-follow --json
    """
    if after is not None and after < 0:
        raise InvalidInput(f"--after: {after} is negative; the first event has seq 1")
    with open_log(log, config) as opened:
        last = opened.log.head().seq
        seq = max(0, last - LAST) if after is None else after
        if seq > last:
            print_message(f"seq {seq} lies past the end of the log (seq {last})")
        while True:
            seq = _show(opened.log.read(after=seq), seq, as_json=as_json)
            if not follow:
                return
            time.sleep(POLL)


def _show(events: Iterable[Recorded], seq: int, *, as_json: bool) -> int:
    """Show events; return the seq of the last one."""
    for each in events:
        if as_json:
            show_json({"seq": each.seq, "stream": each.originator_id, **event_row(each)})
        else:
            show(line(each))
        seq = each.seq
    return seq


def line(recorded: Recorded) -> str:
    """Return an event as a line of its own: seq, when it was so, what happened, and to what."""
    event = recorded.event
    when = brief(iso(recorded.effective_at))
    kind, what = type(event).__name__, describe_event(event)
    return escaped(f"{recorded.seq:>6}  {when:<30}  {kind:<19}  {recorded.originator_id}  {what}".rstrip())
