"""
The same commands under other limits: a thought experiment, for the market would have answered differently.

Every command of the log is put to a second state that has the other limits from the start. An order that is refused
there takes everything that followed from it along: its acknowledgements, its fills, its cancels. An order that is
accepted there and was refused in life stands open, for nobody knows what would have become of it. History that was
imported is not judged, there as in life.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from oms_es.checking import by_command, moment_of
from oms_es.commands import AmendOrder, Command, OrderCommand, Request, SubmitOrder
from oms_es.decimals import ZERO, canonical, minus
from oms_es.envelope import Draft, Recorded
from oms_es.errors import OmsError
from oms_es.events import AmendRefused, Event, FillAdded, PolicyChanged, StateChanged
from oms_es.handling import handle
from oms_es.policy import Value
from oms_es.projections.world import World
from oms_es.recall import rebuild
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod, Origin

NOTE = "a thought experiment: the market would have answered differently"


class Flip(Struct, frozen=True, kw_only=True):
    """An order, or an amendment, whose verdict is another one."""

    seq: int
    account: str
    order_id: str
    asked: str  # "submit" or "amend"
    was: tuple[str, ...]  # the violations in life; () accepted
    now: tuple[str, ...]  # under the other limits


class WhatIf(Struct, kw_only=True):
    """What would have been."""

    commands: int = 0
    flips: list[Flip] = field(default_factory=list)
    lost_commands: int = 0  # what followed from orders that would not have been
    lost_fills: list[FillAdded] = field(default_factory=list)
    impossible: int = 0  # commands that the other state does not allow
    days: list[dict[str, Any]] = field(default_factory=list)  # P&L in life and there, by day, account and symbol

    def rows(self) -> dict[str, Any]:
        """Return the experiment as it stands in JSON."""
        return {
            "note": NOTE,
            "commands": self.commands,
            "flips": [
                {
                    "seq": flip.seq,
                    "account": flip.account,
                    "order_id": flip.order_id,
                    "asked": flip.asked,
                    "was": list(flip.was),
                    "now": list(flip.now),
                }
                for flip in self.flips
            ],
            "lost_commands": self.lost_commands,
            "lost_fills": len(self.lost_fills),
            "impossible": self.impossible,
            "days": self.days,
        }


def what_if(events: Iterable[Recorded], limits: Mapping[str, Value], method: CostMethod = CostMethod.FIFO) -> WhatIf:
    """
    Put the commands of a log to a state with other limits.

    Args:
        events: the log from its first event on.
        limits: the settings' keys that are other, for every account, from the first event on; what the log says of
            these keys later does not count.
        method: the cost method.
    """
    experiment = _Experiment(dict(limits), method)
    for group in by_command(events):
        experiment.take(group)
    return experiment.finished()


class _Experiment:
    def __init__(self, limits: dict[str, Value], method: CostMethod) -> None:
        self._limits = limits
        self._life, self._there = World(method), World(method)
        self._gone: set[tuple[str, str]] = set()  # orders that were never accepted there
        self._result = WhatIf()
        self._begun = False

    def take(self, group: list[Recorded]) -> None:
        self._result.commands += 1
        if not self._begun:
            self._begun = True
            self._add(PolicyChanged(account=EVERY_ACCOUNT, values=self._limits), group[0])
        first = group[0].event
        if isinstance(first, PolicyChanged):
            kept = {key: value for key, value in first.values.items() if key not in self._limits}
            self._add(replace(first, values=kept, from_file=()), group[0])
        elif isinstance(first, StateChanged | FillAdded) or hasattr(first, "order_id"):
            self._order(group, rebuild([each.event for each in group]))
        else:
            for each in group:
                self._add(each.event, each)
        for each in group:
            self._life.apply(each)
        self._life.settle()

    def _order(self, group: list[Recorded], command: Command) -> None:
        assert isinstance(command, OrderCommand), "the group is about an order"
        first = group[0]
        if (command.account, command.order_id) in self._gone:
            self._result.lost_commands += 1
            self._result.lost_fills += [each.event for each in group if isinstance(each.event, FillAdded)]
            return
        origin = Origin.IMPORT if first.origin is Origin.IMPORT else Origin.COMMAND
        request = Request(command=command, occurred_at=first.occurred_at, origin=origin)
        moment = moment_of(self._there, group)
        try:
            drafts = handle(self._there, request, command, moment)
        except OmsError:
            self._result.impossible += 1
            return
        if isinstance(command, SubmitOrder | AmendOrder):
            self._compare(group, command, drafts)
        for draft in drafts:
            self._add(draft.event, first, draft)

    def _compare(self, group: list[Recorded], command: SubmitOrder | AmendOrder, drafts: list[Draft]) -> None:
        was = _violations([each.event for each in group])
        now = _violations([draft.event for draft in drafts])
        submitted = isinstance(command, SubmitOrder)
        if now and submitted:
            self._gone.add((command.account, command.order_id))
        if bool(was) != bool(now):
            flip = Flip(
                seq=group[0].seq,
                account=command.account,
                order_id=command.order_id,
                asked="submit" if submitted else "amend",
                was=was,
                now=now,
            )
            self._result.flips.append(flip)

    def _add(self, event: Event, at: Recorded, draft: Draft | None = None) -> None:
        recorded = Recorded(
            self._there.seq + 1,
            event.originator_id,
            0,
            event,
            getattr(event, "account", ""),
            at.origin,
            at.occurred_at if draft is None else draft.occurred_at,
            at.effective_at if draft is None else draft.effective_at,
            at.recorded_at,
            at.trading_day,
            at.command_id,
        )
        self._there.apply(recorded)
        self._there.settle()

    def finished(self) -> WhatIf:
        names = ("trading_day", "account", "symbol")
        life = {tuple(row[name] for name in names): row for row in self._life.positions.day_rows()}
        there = {tuple(row[name] for name in names): row for row in self._there.positions.day_rows()}
        for key in sorted({*life, *there}):
            was, now = _pnl(life.get(key)), _pnl(there.get(key))
            row = {"realized_pnl": was, "realized_pnl_what_if": now, "change": canonical(minus(now, was))}
            self._result.days.append({**dict(zip(names, key, strict=True)), **row})
        return self._result


def _pnl(row: dict[str, Any] | None) -> Decimal:
    return ZERO if row is None else Decimal(row["realized_pnl"])


def _violations(events: list[Event]) -> tuple[str, ...]:
    for event in events:
        if isinstance(event, StateChanged | AmendRefused) and event.violations:
            return event.violations
    return ()
