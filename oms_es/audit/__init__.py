"""
Replay, decide again, what-if, bisect, why an order was accepted or rejected, and a trading day as an archive.

May import: engine, queries and what they import.
"""
