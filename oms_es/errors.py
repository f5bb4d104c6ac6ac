"""
The errors of the product, one class per mistake that a caller can act on.

    OmsError
    ├── InvalidInput (ValueError)              invalid argument; names it, the value and the accepted values
    │   └── ExpressionError                    an expression of `oms bisect` cannot be parsed or evaluated; shows where
    ├── InvalidTransition (ValueError)         the order's state does not allow the change
    ├── OrderRejected (ValueError)             a limit refused the order; carries order and violations
    ├── FillQuarantinedError (ValueError)      the fill is in quarantine; carries the quarantine id
    ├── DayNotClosable (ValueError)            the day has open quarantine, is in the future, or is closed
    ├── DayIsClosed (ValueError)               history for a closed day
    ├── InstrumentInUse (ValueError)           an instrument cannot change under an open position
    ├── CommandConflict (ValueError)           the command id (or order id) was used with other content
    ├── UnknownOrder, UnknownFill, UnknownQuarantine (LookupError)
    ├── AmbiguousOrder (LookupError)           several orders have this id
    ├── SettingsError (ValueError)             names the path of the key
    ├── InvalidKey (ValueError)                a key of checkpoints cannot be used; names the file
    ├── InvalidNote (ValueError)               a checkpoint cannot be read, or its signature is wrong
    ├── ImportFailed (ValueError)              names file, line and reason; nothing was written
    └── LogError
        ├── NotALog, NewerLog, LogMissing, LogReadOnly
        ├── DamagedLog                         names the seq
        ├── ForeignSchema                      a table, index, trigger or view is not part of the log format
        ├── HeadMoved                          another writer appended since the decision
        ├── LogBusy                            timeout while waiting for the write lock
        ├── LogWriteFailed                     nothing was written; the same process may retry
        ├── LogWriteUncertain                  the outcome is unknown; open the log again, then repeat the command
        ├── LogFileChanged                     the file at the path is not the one that was opened
        └── OpenedInOtherProcess               a forked child uses a log that its parent opened
"""

from typing import Any


class OmsError(Exception):
    """The base class of all errors of this package."""


class InvalidInput(OmsError, ValueError):
    """Invalid argument; the message names it, the value and the accepted values."""


class ExpressionError(InvalidInput):
    """The expression cannot be parsed or evaluated; the message shows where."""


class InvalidTransition(OmsError, ValueError):
    """The state of the order does not allow the change."""


class OrderRejected(OmsError, ValueError):
    """A limit refused the order or its amendment; the log contains the refusal."""

    def __init__(self, violations: tuple[str, ...], order: Any = None) -> None:
        is_clock = any(text.startswith("CLOCK:") for text in violations)
        hint = "; if our clock is right, accept it: oms clock accept, accept_clock()" if is_clock else ""
        super().__init__(f"Order rejected: {'; '.join(violations)}{hint}")
        self.violations = list(violations)
        self.order = order


class FillQuarantinedError(OmsError, ValueError):
    """The fill is in quarantine; order and position are unchanged."""

    def __init__(self, message: str, quarantine_id: str, reason: str) -> None:
        super().__init__(message)
        self.quarantine_id = quarantine_id
        self.reason = reason


class DayNotClosable(OmsError, ValueError):
    """The trading day cannot be closed; the message names the reason."""


class DayIsClosed(OmsError, ValueError):
    """History was imported for a closed trading day; nothing was booked."""


class InstrumentInUse(OmsError, ValueError):
    """An instrument cannot change under an open position."""


class CommandConflict(OmsError, ValueError):
    """A command id or order id was used before with other content."""


class UnknownOrder(OmsError, LookupError):
    """No order has this id."""


class UnknownFill(OmsError, LookupError):
    """The order has no fill with this trade id."""


class UnknownQuarantine(OmsError, LookupError):
    """No fill in quarantine has this id, or it is already resolved."""


class AmbiguousOrder(OmsError, LookupError):
    """Several orders have this id; pass `account=` or our order id."""


class SettingsError(OmsError, ValueError):
    """A key of the settings is unknown or ill-typed; the message names its path."""


class InvalidKey(OmsError, ValueError):
    """A key of checkpoints cannot be used; the message names the file."""


class InvalidNote(OmsError, ValueError):
    """A checkpoint cannot be read, or its signature is wrong."""


class ImportFailed(OmsError, ValueError):
    """A line of an import file is invalid; nothing was written."""


class LogError(OmsError):
    """The log cannot be read or written; the base class of all errors of a log."""


class LogMissing(LogError):
    """The log file does not exist."""


class NotALog(LogError):
    """The file is not an event log."""


class NewerLog(LogError):
    """The log has a later format than this version can read."""


class LogReadOnly(LogError):
    """The media or the permissions do not allow writing."""


class LogBusy(LogError):
    """Timeout while waiting for the write lock."""


class LogWriteFailed(LogError):
    """The append failed and wrote nothing (a full disk, an I/O error)."""


class LogWriteUncertain(LogError):
    """COMMIT or fsync failed: open the log again to find out whether it contains the events."""


class LogFileChanged(LogError):
    """The log file was deleted, renamed, replaced or hard-linked, or its write-ahead log was removed."""


class ForeignSchema(LogError):
    """A table, index, trigger or view of the log is missing, changed or foreign; the message names it."""


class OpenedInOtherProcess(LogError):
    """The log was opened in another process, before a fork; open it again in this one."""


class DamagedLog(LogError):
    """A row is missing or differs from what was written; the message names its seq."""


class HeadMoved(LogError):
    """Another writer appended after the head that this append was decided on."""
