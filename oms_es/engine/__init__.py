"""
The write side: queued commands are decided in order and appended in one transaction; callbacks run after it.

May import: projections, the log, the domain.
"""
