"""
OpenTelemetry spans around commands, where the program that embeds us has set up a tracer provider.

A span is named after its command (`oms.SubmitOrder`). Its attributes are `oms.account`, `oms.order_id`, `oms.symbol`,
`oms.seq` (of the first event; 0: none), `oms.events` and `oms.repeated`. A refused command is an error of its span.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

from oms_es.domain.commands import Request
from oms_es.engine.command_result import CommandResult

_NAMED = ("account", "order_id", "symbol")


def tracer() -> Any:
    """Return a tracer of OpenTelemetry; None if the program does not use it."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    return trace.get_tracer("oms_es")


async def traced(
    tracer: Any,
    perform: Callable[[Request], Awaitable[CommandResult]],
    request: Request,
    outcome: Callable[[CommandResult], object],
) -> CommandResult:
    """Carry out a request in a span; `outcome` raises the error of a recorded refusal."""
    command = request.command
    attributes = {f"oms.{name}": getattr(command, name) for name in _NAMED if getattr(command, name, None)}
    name = f"oms.{type(command).__name__}"
    with tracer.start_as_current_span(name, attributes=attributes) as span:
        found = await perform(request)
        span.set_attribute("oms.seq", found.first_seq)
        span.set_attribute("oms.events", len(found.events))
        span.set_attribute("oms.repeated", found.repeated)
        outcome(found)
        return found
