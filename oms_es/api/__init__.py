"""
The embedded API: `OrderManagementSystem`, with one module per group of its methods.

May import: engine, queries and the packages they import.
"""
