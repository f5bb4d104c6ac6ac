"""Tests that need a library of an extra are left out where it is not installed."""

from importlib.util import find_spec

collect_ignore = [
    *(() if find_spec("aiohttp") else ("test_deltadefi.py", "test_compat.py", "test_ccxt.py", "test_chaos.py")),
    *(() if find_spec("ccxt") else ("test_ccxt.py",)),
]
