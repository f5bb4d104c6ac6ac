"""Rate limit and back-off."""

import asyncio
import random

from oms_es.venues.pacing import Backoff, RateLimiter


async def test_a_rate_limiter_allows_so_many_calls_in_any_window_and_in_order() -> None:
    limiter, begun, done = RateLimiter(3, 0.05), asyncio.get_running_loop().time(), []

    async def call(number: int) -> None:
        await limiter.wait()
        done.append((number, asyncio.get_running_loop().time() - begun))

    await asyncio.gather(*(call(number) for number in range(9)))

    assert [number for number, _ in done] == list(range(9))
    for (_, earlier), (_, later) in zip(done, done[3:], strict=False):
        assert later - earlier >= 0.049


def test_a_backoff_doubles_up_to_its_most_and_repeats_with_its_seed() -> None:
    first, again = (Backoff(0.5, 30, random.Random(7)) for _ in range(2))

    delays = [first.next() for _ in range(12)]

    assert delays == [again.next() for _ in range(12)]
    for number, delay in enumerate(delays):
        whole = min(30, 0.5 * 2**number)
        assert whole / 2 <= delay <= whole
    first.reset()
    assert first.next() <= 0.5
