"""
Stand-ins for modules of other programs: only the import path in such a program changes.

May import: api, venues and the packages that they import.
"""
