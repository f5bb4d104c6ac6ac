"""Log messages about changes of the policy and of the trading level: who, what and why."""

import logging

from oms_es.domain.events import Event, PolicyChanged, TradingLevelChanged
from oms_es.engine.admin_commands import FILE_CHANGED, FIRST
from oms_es.engine.log_context import about
from oms_es.identifiers import escaped
from oms_es.vocabulary import EVERY_ACCOUNT

_log = logging.getLogger("oms_es")


def log_policy_change(event: Event, *, own: bool) -> None:
    """
    Log a change of the policy or the trading level.

    Args:
        event: any event; others are ignored.
        own: whether this process was asked for it; then it is logged as INFO, unless it is from a settings file.
    """
    if isinstance(event, PolicyChanged):
        by_file = event.reason == FILE_CHANGED
        level = logging.INFO if event.reason == FIRST or (own and not by_file) else logging.WARNING
        changes = ", ".join(f"{key} = {_value(value)}" for key, value in sorted(event.values.items()))
        message = escaped(f"{_what(event, by_file=by_file)}: {changes or 'nothing else'}{_who(event)}")
        _log.log(level, "%s", message, extra=about(account=event.account))
    elif isinstance(event, TradingLevelChanged):
        level = logging.INFO if own and not event.from_file else logging.WARNING
        message = escaped(f"the trading level of {_scope(event)} is {event.level.value}{_who(event)}")
        _log.log(level, "%s", message, extra=about(account=event.account, level=event.level.value))


def _what(event: PolicyChanged, *, by_file: bool) -> str:
    return "the settings file has changed the rules in force" if by_file else f"the rules of {_scope(event)} changed"


def _scope(event: PolicyChanged | TradingLevelChanged) -> str:
    return "every account" if event.account == EVERY_ACCOUNT else f"account {event.account}"


def _value(value: object) -> str:
    return "null" if value is None else ", ".join(value) or "nothing" if isinstance(value, tuple) else str(value)


def _who(event: PolicyChanged | TradingLevelChanged) -> str:
    told = [f"by {event.actor}"] if event.actor else []
    told += [event.reason] if event.reason and event.reason != FILE_CHANGED else []
    return f" ({': '.join(told)})" if told else ""
