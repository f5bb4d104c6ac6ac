"""
What can go wrong, one class per mistake that a caller can act on.

    OmsError
    ├── InvalidInput (ValueError)              a value that cannot be: text says what was given and what would do
    ├── InvalidTransition (ValueError)         the order's state does not allow it
    ├── OrderRejected (ValueError)             recorded, and refused by a limit; carries order and violations
    ├── FillQuarantinedError (ValueError)      recorded, and waiting for a decision; carries the quarantine id
    ├── DayNotClosable (ValueError)            a day that waits, has not come, or was closed before
    ├── DayIsClosed (ValueError)               history for a day that is closed
    ├── InstrumentInUse (ValueError)           an instrument may not change under an open position
    ├── CommandConflict (ValueError)           the same command id (or order id) with other content
    ├── UnknownOrder, UnknownFill, UnknownQuarantine (LookupError)
    ├── AmbiguousOrder (LookupError)           the id names several orders
    ├── SettingsError (ValueError)             names the path of the key
    ├── ImportFailed (ValueError)              names file, line and reason; nothing was written
    └── LogError
        ├── NotALog, NewerLog, LogMissing, LogReadOnly
        ├── DamagedLog                         names the seq
        ├── ForeignSchema                      a table, index, trigger or view of the file is not ours
        ├── HeadMoved                          somebody else appended since the decision
        ├── LogBusy                            the write lock could not be had in time
        ├── LogWriteFailed                     nothing was written; the same process may try again
        ├── LogWriteUncertain                  the outcome is unknown; open the log again, then repeat the command
        ├── LogFileChanged                     the file at the path is not the one that was opened
        └── OpenedInOtherProcess               a forked child uses what its parent opened
"""

from typing import Any


class OmsError(Exception):
    """The root of everything this package raises on purpose."""


class InvalidInput(OmsError, ValueError):
    """A value that cannot be."""


class InvalidTransition(OmsError, ValueError):
    """The state of the order does not allow what was asked."""


class OrderRejected(OmsError, ValueError):
    """A limit refused the order (or its amendment); the refusal is in the log."""

    def __init__(self, violations: tuple[str, ...], order: Any = None) -> None:
        super().__init__(f"Order rejected: {'; '.join(violations)}")
        self.violations = list(violations)
        self.order = order


class FillQuarantinedError(OmsError, ValueError):
    """The fill is recorded and waits in quarantine; order and position are as before."""

    def __init__(self, message: str, quarantine_id: str, reason: str) -> None:
        super().__init__(message)
        self.quarantine_id = quarantine_id
        self.reason = reason


class DayNotClosable(OmsError, ValueError):
    """The trading day cannot be closed; the message says why."""


class DayIsClosed(OmsError, ValueError):
    """History came for a trading day that is closed; nothing of it was booked."""


class InstrumentInUse(OmsError, ValueError):
    """An instrument may not change under an open position."""


class CommandConflict(OmsError, ValueError):
    """An id that was used before, now with other content."""


class UnknownOrder(OmsError, LookupError):
    """No order has this id."""


class UnknownFill(OmsError, LookupError):
    """The order has no fill with this trade id."""


class UnknownQuarantine(OmsError, LookupError):
    """Nothing in quarantine has this id, or it is resolved already."""


class AmbiguousOrder(OmsError, LookupError):
    """The id names several orders; `account=` or the order id would tell them apart."""


class SettingsError(OmsError, ValueError):
    """A key of the settings is unknown or ill-typed; the message names its path."""


class ImportFailed(OmsError, ValueError):
    """A line of an import file cannot be read; nothing was written."""


class LogError(OmsError):
    """The log cannot be used as asked."""


class LogMissing(LogError):
    """There is no file."""


class NotALog(LogError):
    """The file is something else."""


class NewerLog(LogError):
    """The log was written by a later version of the format."""


class LogReadOnly(LogError):
    """The media or its permissions allow no writing."""


class LogBusy(LogError):
    """Another process held the write lock for too long."""


class LogWriteFailed(LogError):
    """The append failed and nothing of it is in the log (a full disk, an I/O error)."""


class LogWriteUncertain(LogError):
    """COMMIT or fsync failed: the events are in the log or not, and only opening it again tells."""


class LogFileChanged(LogError):
    """The log file was deleted, moved, replaced or hard-linked, or its write-ahead log was removed."""


class ForeignSchema(LogError):
    """A table, index, trigger or view of the file is missing, changed or not ours; the message names it."""


class OpenedInOtherProcess(LogError):
    """The log was opened in another process (before a fork); open it again in this one."""


class DamagedLog(LogError):
    """A row cannot be what we wrote; the message names its seq."""


class HeadMoved(LogError):
    """The log has grown since the head that the append was decided on."""
