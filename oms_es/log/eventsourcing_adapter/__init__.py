"""
The log as a persistence module of the library `eventsourcing`, which only this package imports.

May import: the log, the domain.
"""
