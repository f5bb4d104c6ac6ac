"""
The embedded API: `OrderManagementSystem`, one module per group of its methods, and the errors it raises.

May import: engine, queries and what they import.
"""
