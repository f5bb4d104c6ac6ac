"""Rate limit and back-off of calls to a venue."""

import asyncio
import random
from collections import deque


class RateLimiter:
    """
    At most `calls` calls in any `seconds`, in the order in which they were asked for.

    Args:
        calls: allowed in each window.
        seconds: length of the window.
    """

    def __init__(self, calls: int, seconds: float = 1.0) -> None:
        self._calls = calls
        self._seconds = seconds
        self._granted: deque[float] = deque(maxlen=calls)
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Return when the next call is allowed."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            if len(self._granted) == self._calls:
                await asyncio.sleep(max(0.0, self._granted[0] + self._seconds - loop.time()))
            self._granted.append(loop.time())


class Backoff:
    """
    Delays that double, with jitter so that many clients do not return together.

    Args:
        first: the first delay at most, in seconds.
        most: no delay is longer.
        chance: the source of the jitter; a seeded one repeats its delays.
    """

    def __init__(self, first: float, most: float, chance: random.Random) -> None:
        self._first = first
        self._most = most
        self._chance = chance
        self.failures = 0

    def reset(self) -> None:
        """Begin with the first delay again."""
        self.failures = 0

    def next(self) -> float:
        """Return the next delay: a half to the whole of the doubled one."""
        delay = min(self._most, self._first * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return delay * self._chance.uniform(0.5, 1.0)

    async def wait(self) -> None:
        """Sleep for the next delay."""
        await asyncio.sleep(self.next())
