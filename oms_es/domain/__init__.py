"""
The rules of orders, fills, risk checks and cost, with their events and commands; pure: no clock, no file, no network.

May import: vocabulary, decimals, identifiers, timestamps, errors, files.
"""
