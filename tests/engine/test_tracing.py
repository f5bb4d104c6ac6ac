"""OpenTelemetry spans around commands."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oms_es import OrderRejected
from oms_es.engine import tracing
from tests.desk import ADA, D, desk, submit

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("oms_es.api.session.tracer", lambda: provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


async def test_a_command_has_a_span_with_its_order_and_its_events(path: Path, spans: Any) -> None:
    async with desk(path) as oms:
        await submit(oms, "o-1")
        await submit(oms, "o-1")

    found = [(span.name, dict(span.attributes)) for span in spans.get_finished_spans()]
    named = {"oms.account": "default", "oms.order_id": "o-1", "oms.symbol": ADA}
    assert found == [
        ("oms.SubmitOrder", {**named, "oms.seq": 2, "oms.events": 2, "oms.repeated": False}),
        ("oms.SubmitOrder", {**named, "oms.seq": 0, "oms.events": 0, "oms.repeated": True}),
    ]


def test_a_program_without_a_tracer_provider_has_no_spans() -> None:
    assert tracing.tracer() is None


async def test_the_span_of_a_refused_command_has_its_error(path: Path, spans: Any) -> None:
    async with desk(path) as oms:
        with pytest.raises(OrderRejected):
            await submit(oms, "o-1", quantity=D(99_999))

    (span,) = spans.get_finished_spans()
    assert not span.status.is_ok
    assert span.events[0].name == "exception"
    assert span.attributes["oms.events"] == 2
