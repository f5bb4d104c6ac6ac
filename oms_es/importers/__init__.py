"""
Orders, fills and marks from files: each format is parsed into facts, and all facts go through one importer.

May import: the engine, the domain.
"""
