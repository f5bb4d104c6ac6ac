"""What the log comes to: orders, positions, P&L, rules in force; all of it computed, none of it kept as truth."""
