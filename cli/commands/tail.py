"""`oms tail`: the last events, and new events of any process."""

import time
from collections.abc import Iterable
from typing import Annotated

import typer

from oms_es.cli.options import CommonOptions
from oms_es.cli.render import print_message, show, show_json
from oms_es.domain.envelope import Recorded
from oms_es.errors import InvalidInput
from oms_es.identifiers import escaped
from oms_es.queries.answers import event_row
from oms_es.queries.describe_event import describe_event
from oms_es.timestamps import brief, iso

LAST = 10  # events shown at first
POLL = 0.2  # seconds
Follow = Annotated[bool, typer.Option("--follow/--no-follow", help="Continue with new events until Ctrl-C.")]
After = Annotated[
    int | None, typer.Option("--after", metavar="SEQ", help="Start after this event instead of with the last ten.")
]


def tail(follow: Follow = True, after: After = None, *, options: CommonOptions) -> None:
    """
    Show the last ten events and follow the log.

    With --json each event is one JSON object per line.

    For example:

        oms tail --after 70 --no-follow --json
    """
    if after is not None and after < 0:
        raise InvalidInput(f"--after: {after} is negative; the first event has seq 1")
    with options.open() as opened:
        last = opened.log.head().seq
        seq = max(0, last - LAST) if after is None else after
        if seq > last:
            print_message(f"seq {seq} is past the end of the log (seq {last})")
        while True:
            seq = _show(opened.log.read(after=seq), seq, as_json=options.as_json)
            if not follow:
                return
            time.sleep(POLL)


def _show(events: Iterable[Recorded], seq: int, *, as_json: bool) -> int:
    """Print events; return the seq of the last one."""
    for each in events:
        if as_json:
            show_json({"seq": each.seq, "stream": each.originator_id, **event_row(each)})
        else:
            show(line(each))
        seq = each.seq
    return seq


def line(recorded: Recorded) -> str:
    """Return an event as one line: seq, effective time, kind, stream and description."""
    event = recorded.event
    when = brief(iso(recorded.effective_at))
    kind, what = type(event).__name__, describe_event(event)
    return escaped(f"{recorded.seq:>6}  {when:<30}  {kind:<19}  {recorded.originator_id}  {what}".rstrip())
