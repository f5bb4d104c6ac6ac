"""Policies and trading levels: what risk is decided on besides positions and orders."""

from typing import Any

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import PolicyChanged, TradingLevelChanged
from oms_es.domain.policy import Policy, Value, checked, key_of, typed
from oms_es.log.contract import Log
from oms_es.projections.projection import Projection, on
from oms_es.projections.undo import UndoDict, UndoLog
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod, TradingLevel

_STRICTEST = (TradingLevel.HALTED, TradingLevel.REDUCE_ONLY, TradingLevel.NORMAL)


class Policies(Projection):
    """Policies and trading levels, of every account ("*") and of single ones."""

    def __init__(self, undo: UndoLog | None = None) -> None:
        super().__init__(undo)
        undo = self.undo
        self.values: UndoDict[str, dict[str, Value]] = UndoDict(undo)  # by account or "*"
        self.from_file: UndoDict[str, Value] = UndoDict(undo)  # the last value from a settings file, by path
        self.levels: UndoDict[str, TradingLevel] = UndoDict(undo)
        self.rules: UndoDict[str, int] = UndoDict(undo)  # version of the decision rules, under "*"
        self.changed_at: UndoDict[str, int] = UndoDict(undo)  # seq of the last change, by account or "*"
        self._typed: dict[str, tuple[object, object, Policy]] = {}

    @on(PolicyChanged)
    def _changed(self, event: PolicyChanged, at: Recorded) -> None:
        for path, value in event.values.items():
            if key_of(path) is not None:
                checked(path, value)  # fails only when the log was tampered with
        self.values[event.account] = {**(self.values.get(event.account) or {}), **event.values}
        self.rules[EVERY_ACCOUNT] = max(event.rules, self.rules.get(EVERY_ACCOUNT) or 0)
        self.changed_at[event.account] = at.seq
        for path in event.from_file:
            self.from_file[path] = event.values[path]

    @on(TradingLevelChanged)
    def _level(self, event: TradingLevelChanged, _: Recorded) -> None:
        self.levels[event.account] = event.level

    @property
    def is_set(self) -> bool:
        """Return whether the log holds any policy; without one nothing is limited."""
        return bool(self.values.get(EVERY_ACCOUNT))

    def policy(self, account: str) -> Policy:
        """Return the policy of an account: its own values over those of every account."""
        every, own = self.values.get(EVERY_ACCOUNT), self.values.get(account)
        cached = self._typed.get(account)
        if cached is not None and cached[0] is every and cached[1] is own:
            return cached[2]
        policy = typed(self.merged(account)) if every or own else Policy(max_clock_step=2**62)
        self._typed[account] = (every, own, policy)
        return policy

    def merged(self, account: str) -> dict[str, Value]:
        """Return the values in force for an account: its own over those of every account."""
        return {**(self.values.get(EVERY_ACCOUNT) or {}), **(self.values.get(account) or {})}

    def own_level(self, account: str) -> TradingLevel:
        """Return the level of an account itself, whatever the level of every account is."""
        return self.levels.get(account) or TradingLevel.NORMAL

    def level(self, account: str) -> TradingLevel:
        """Return the stricter of the account's level and the level of every account."""
        levels = (self.levels.get(EVERY_ACCOUNT), self.levels.get(account))
        return next(level for level in _STRICTEST if level in levels or level is TradingLevel.NORMAL)

    def rows(self) -> list[dict[str, Any]]:
        """Return the policies and levels by account."""
        return [
            {"account": each, "level": self.own_level(each).value, "values": self.values.get(each) or {}}
            for each in sorted({*self.values, *self.levels})
        ]


def policies_of_every_account(log: Log, until: int | None = None) -> Policies:
    """Fold the policy events of every account ("*") up to the event `until`."""
    events = log.stream(f"policy/{EVERY_ACCOUNT}")
    return Policies().replay(each for each in events if until is None or each.seq <= until)


def first_method(log: Log, otherwise: CostMethod) -> CostMethod:
    """Return the first cost method that a policy of the log names."""
    for each in log.stream(f"policy/{EVERY_ACCOUNT}"):
        if isinstance(each.event, PolicyChanged) and "accounting.method" in each.event.values:
            return Policies().replay([each]).policy(EVERY_ACCOUNT).method
    return otherwise
