"""
Events, commands and the rules of orders, fills, risk checks and cost. Pure: no clock, file or network.

May import: vocabulary, decimals, identifiers, timestamps, errors, files.
"""
