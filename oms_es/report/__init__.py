"""
A trading day as one page: an offline file (`oms report`), or the same page live (`oms serve`).

Python works out every figure with the functions behind `--json`; the browser only shows them. May import all of oms_es
but the command line.
"""
