"""
Snapshots of projections beside a log: a cache that is checked against the log and may be deleted.

May import: projections, the log, the domain.
"""
