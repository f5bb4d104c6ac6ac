"""
The command `oms`: arguments in, one call of the API, a query or an audit, rows out.

May import: every package. No package imports it.
"""

from oms_es.cli.app import app, main

__all__ = ["app", "main"]
