"""
The log as a persistence module of the library `eventsourcing`; only here is that library imported.

May import: the log, the domain.
"""
