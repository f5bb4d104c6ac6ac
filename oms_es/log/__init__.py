"""The log: an append-only table of events with a chain over it, and an `eventsourcing` persistence module."""
