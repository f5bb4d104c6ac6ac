"""
The event store: an append-only table of events with a hash chain over it, in SQLite or in memory.

May import: the domain. `LogFactory` is what PERSISTENCE_MODULE=oms_es.log finds here; it is loaded when it is asked
for, because `eventsourcing` takes longer to import than everything else of ours.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oms_es.log.eventsourcing_adapter.recorders import LogFactory

__all__ = ["LogFactory"]


class _Package(ModuleType):
    """A package that loads its factory when its members are listed, as `eventsourcing` does to find it."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        _load()
        return globals()


def _load() -> None:
    if "LogFactory" not in globals():
        from oms_es.log.eventsourcing_adapter.recorders import LogFactory  # noqa: PLC0415 - it is slow to import

        globals()["LogFactory"] = LogFactory


def __getattr__(name: str) -> Any:
    if name == "LogFactory":
        _load()
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


sys.modules[__name__].__class__ = _Package
