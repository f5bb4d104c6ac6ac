"""
The event store: an append-only table of events with a hash chain over it, in SQLite or in memory.

May import: the domain. `LogFactory` is what PERSISTENCE_MODULE=oms_es.log finds here.
"""

from oms_es.log.eventsourcing_adapter.recorders import (
    LogFactory,  # the one factory that PERSISTENCE_MODULE=oms_es.log finds here
)

__all__ = ["LogFactory"]
