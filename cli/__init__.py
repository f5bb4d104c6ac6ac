"""
The command `oms`: arguments in, one call of the API, a query or an audit, rows out.

May import: everything; imported by nobody.
"""

from oms_es.cli.app import app, main

__all__ = ["app", "main"]
