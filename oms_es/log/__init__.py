"""
The event store: an append-only table of events with a hash chain, in SQLite or in memory.

May import: the domain. `LogFactory` is exported for PERSISTENCE_MODULE=oms_es.log.
"""

from oms_es.log.eventsourcing_adapter.recorders import LogFactory

__all__ = ["LogFactory"]
