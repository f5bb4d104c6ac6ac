"""
Read models folded from the log: orders, positions, P&L, policies; the same `apply` for live, replay and time travel.

May import: the log, the domain.
"""
