"""
The commands of `oms`, one module per subject: open the log, ask or carry out, render.

May import: everything. Imported by `oms_es.cli.app` only.
"""
