"""
The recorded commands under other limits: a thought experiment, because the market would have answered differently.

Every command is decided on a second state, which has the other limits from a trading day on, or from the start. If an
order was accepted and is refused there, its later commands are lost there too: acknowledgements, fills, cancels. If an
order was refused and is accepted there, it stays open there, because its outcome is unknown. Imported history is not
judged in either state.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from oms_es.audit.high_water import HighWaterMark, HighWaterMarks
from oms_es.audit.redecide import by_command, decision_time_of, recorded_violations, request_of, rules_of
from oms_es.decimals import ZERO, canonical, minus
from oms_es.domain.command_of import command_of
from oms_es.domain.commands import AmendOrder, Command, OrderCommand, SubmitOrder
from oms_es.domain.envelope import Draft, Recorded
from oms_es.domain.events import Event, FillAdded, PolicyChanged
from oms_es.domain.events import TradingLevelChanged as LevelChanged
from oms_es.domain.policy import Value
from oms_es.engine.command_handler import handle, is_judged
from oms_es.engine.order_lookup import resolve_order
from oms_es.errors import InvalidInput, OmsError
from oms_es.projections.state import State
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod, TradingLevel

NOTE = "a thought experiment: the market would have answered differently"
STOP = "risk.emergency_stop"


class Flip(Struct, frozen=True, kw_only=True):
    """An order, or an amendment, with another verdict."""

    seq: int
    account: str
    order_id: str
    asked: str  # "submit" or "amend"
    was: tuple[str, ...]  # recorded violations; () accepted
    now: tuple[str, ...]  # violations under the other limits


class WhatIf(Struct, kw_only=True):
    """The outcome under the other limits, beside the recorded one."""

    commands: int = 0
    judged: int = 0  # orders and amendments that limits apply to
    not_judged: int = 0  # imported ones
    flips: list[Flip] = field(default_factory=list)
    lost_commands: int = 0  # later commands of orders that are refused there
    lost_fills: list[dict[str, Any]] = field(default_factory=list)
    impossible: int = 0  # commands that are invalid in the other state
    days: list[dict[str, Any]] = field(default_factory=list)  # both P&L, by day, account and symbol
    exposure: list[dict[str, Any]] = field(default_factory=list)  # both high-water marks, by day, account and symbol
    daily_loss: list[dict[str, Any]] = field(default_factory=list)  # both worst losses, by day, account and currency

    def rows(self) -> dict[str, Any]:
        """Return the outcome as in JSON."""
        row: dict[str, Any] = {"note": NOTE}
        for name, value in asdict(self).items():
            row |= {"lost_fills": len(value), "fills": value} if name == "lost_fills" else {name: value}
        return {**row, "flips": [asdict(flip) for flip in self.flips]}


def what_if(
    events: Iterable[Recorded],
    limits: Mapping[str, Value],
    method: CostMethod = CostMethod.FIFO,
    *,
    worlds: tuple[State, State] | None = None,
    day: str | None = None,
) -> WhatIf:
    """
    Decide the commands of a log on a state with other limits.

    Args:
        events: the log from its first event on, or the events after the states `worlds`.
        limits: other values of keys of the settings, for every account; later changes of these keys in the log are
            ignored.
        method: the cost method that the log begins with.
        worlds: two equal states before the events, as from a day archive.
        day: the trading day that is reported, and on which the other limits begin; None: from the start.

    Raises:
        InvalidInput: a key that is not a limit, like those of the calendar.
    """
    foreign = sorted(key for key in limits if key.startswith(("day.", "accounting.")))
    if foreign:
        raise InvalidInput(f"{', '.join(foreign)}: not a limit; what-if takes risk, trading, daily_loss and fills")
    actual, other = worlds or (State(method), State(method))
    experiment = _Experiment(dict(limits), actual, other, day)
    for group in by_command(events):
        experiment.take(group)
    return experiment.finished()


class _Experiment:
    def __init__(self, limits: dict[str, Value], actual: State, other: State, day: str | None) -> None:
        self._limits, self._only = limits, day
        self._actual, self._other = actual, other
        # By day: recorded, and under the other limits.
        self._high_water: dict[str, tuple[HighWaterMarks, HighWaterMarks]] = {}
        self._gone: set[tuple[str, str]] = set()  # orders that are refused there
        self._result = WhatIf()
        self._begun = False

    def take(self, group: list[Recorded]) -> None:
        first = group[0]
        if not self._begun and self._only in (None, first.trading_day):
            self._begun = True
            self._begin(first)
        if not self._begun:
            self._add_all(group)
        else:
            self._result.commands += 1
            self._decide(group)
        for each in group:
            self._actual.apply(each)
        self._actual.commit()
        if self._begun:
            actual, other = self._high_water.setdefault(first.trading_day, (HighWaterMarks(), HighWaterMarks()))
            actual.take(self._actual, group)
            other.take(self._other, group)

    def _begin(self, at: Recorded) -> None:
        # Where the log has no policy yet, only the limits may differ: the cost method stays the same.
        method = {} if self._other.policies.is_set else {"accounting.method": self._other.positions.method.value}
        self._add(PolicyChanged(account=EVERY_ACCOUNT, values={**method, **self._limits}), at)
        if STOP in self._limits:  # as with a settings file, this key becomes a level
            level = TradingLevel.HALTED if self._limits[STOP] == "true" else TradingLevel.NORMAL
            self._add(LevelChanged(account=EVERY_ACCOUNT, level=level, reason=STOP), at)

    def _decide(self, group: list[Recorded]) -> None:
        first = group[0].event
        if isinstance(first, PolicyChanged):
            values = {key: value for key, value in first.values.items() if key not in self._limits}
            self._add(replace(first, values=values, from_file=()), group[0])
        elif isinstance(first, LevelChanged) and first.from_file and STOP in self._limits:
            return
        elif hasattr(first, "order_id"):
            self._order(group, command_of([each.event for each in group]))
        else:
            self._add_all(group)

    def _order(self, group: list[Recorded], command: Command) -> None:
        assert isinstance(command, OrderCommand), "the group is about an order"
        first = group[0]
        if (command.account, command.order_id) in self._gone:
            self._result.lost_commands += 1
            self._lose(group, [])
            return
        request = request_of(group, command)
        (rules, *_) = rules_of(self._actual)
        try:
            command = resolve_order(self._other, request, rules)
            drafts = handle(self._other, request, command, decision_time_of(self._other, group, rules))
        except OmsError:
            self._result.impossible += 1
            self._lose(group, [])
            return
        if isinstance(command, SubmitOrder | AmendOrder):
            judged = is_judged(request, command)
            self._result.judged += judged
            self._result.not_judged += not judged
            self._compare(group, command, drafts)
        self._lose(group, drafts)
        for draft in drafts:
            self._add(draft.event, first, draft)

    def _lose(self, group: list[Recorded], drafts: list[Draft]) -> None:
        """Count the recorded fills that are not booked there; one in quarantine there is never resolved."""
        if any(isinstance(draft.event, FillAdded) for draft in drafts):
            return
        for each in group:
            if isinstance(fill := each.event, FillAdded):
                names = {name: getattr(fill, name) for name in ("account", "order_id", "trade_id", "symbol")}
                figures = {"side": fill.side.value, "quantity": fill.fill_quantity, "price": fill.fill_price}
                self._result.lost_fills.append({"seq": each.seq, **names, **figures})

    def _compare(self, group: list[Recorded], command: SubmitOrder | AmendOrder, drafts: list[Draft]) -> None:
        was, now = recorded_violations(group), recorded_violations(drafts)
        submitted = isinstance(command, SubmitOrder)
        if now and not was and submitted:
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

    def _add_all(self, group: list[Recorded]) -> None:
        for each in group:
            self._add(each.event, each)

    def _add(self, event: Event, at: Recorded, draft: Draft | None = None) -> None:
        account = getattr(event, "account", "")
        added = replace(at, seq=self._other.seq + 1, originator_id=event.originator_id, event=event, account=account)
        if draft is not None:
            added = replace(added, occurred_at=draft.occurred_at, effective_at=draft.effective_at)
        self._other.apply(added)
        self._other.commit()

    def finished(self) -> WhatIf:
        names = ("trading_day", "account", "symbol", "currency")
        actual, other = ({tuple(row[name] for name in names): row for row in state.positions.day_rows()}
                       for state in (self._actual, self._other))  # fmt: skip
        for key in sorted({*actual, *other}):
            if self._only in (None, key[0]):
                figures: dict[str, Any] = {}
                for figure in ("realized_pnl", "unrealized_pnl"):
                    pair = [row[figure] if row else ZERO for row in (actual.get(key), other.get(key))]
                    figures |= dict(zip((figure, f"{figure}_what_if"), pair, strict=True))
                change = canonical(minus(figures["realized_pnl_what_if"], figures["realized_pnl"]))
                self._result.days.append({**dict(zip(names, key, strict=True)), **figures, "change": change})
        for day, (was, now) in sorted(self._high_water.items()):
            if self._only in (None, day):
                self._result.exposure += _side_by_side(day, "symbol", was.exposure, now.exposure)
                self._result.daily_loss += _side_by_side(day, "currency", was.worst_loss, now.worst_loss)
        return self._result


def _side_by_side(
    day: str, name: str, actual: dict[str, HighWaterMark], other: dict[str, HighWaterMark]
) -> list[dict[str, Any]]:
    """Return both high-water marks of a figure, with the limits in force."""
    rows = []
    for key in sorted({*actual, *other}):
        account, _, rest = key.partition("/")
        was, now = actual.get(key, HighWaterMark()), other.get(key, HighWaterMark())
        most = {"most": was.most, "limit": was.limit, "most_what_if": now.most, "limit_what_if": now.limit}
        rows.append({"trading_day": day, "account": account, name: rest, **most})
    return rows
