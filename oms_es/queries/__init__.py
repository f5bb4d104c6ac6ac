"""
The read side: positions, orders, fills and P&L now or at any time; each answer with its basis.

May import: projections, the log, the domain. Never the engine.
"""
