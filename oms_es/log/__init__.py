"""The log: an append-only table of events with a chain over it, and an `eventsourcing` persistence module."""

from oms_es.log.recorders import LogFactory  # the one factory that PERSISTENCE_MODULE=oms_es.log finds here

__all__ = ["LogFactory"]
