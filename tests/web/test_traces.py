"""Traces: a span for each request, whichever way it takes, and one for each batch."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from aiohttp import ClientSession
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.integration.things import make_key

from tokensvc.traces.tracer import Tracer
from tokensvc.traces.tracing import Tracing
from tokensvc.web.runner import ServiceRunner
from tokensvc.web.server import bind_socket
from tokensvc.web.shared_start import SharedStart
from tokensvc.web.traced import answer_traced

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
PLAIN: dict[str, str] = {}
USUAL = {"Keep-Alive": "9"}  # a field that leaves the request to aiohttp


@pytest.fixture
def spans(monkeypatch):
    """Return the spans that ended, by their names; they are taken out."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(Tracing, "tracer", Tracer(provider))

    def take():
        ended = kept.get_finished_spans()
        kept.clear()
        return {
            name: [span for span in ended if span.name == name] for name in map(get_name, ended)
        }

    return take


def get_name(span):
    return span.name


@pytest.fixture
async def exchange(spans, settings, database_url, started, logs, database):
    """Exchanges a good key, or a text, on a connection of its own."""
    del spans, started, logs  # they must be there before the service is
    good = (await make_key(database)).key.text
    with SharedStart() as start:
        runner = ServiceRunner(settings, database_url, start, greet=lambda _: None)
        await runner.setup()
        listener = bind_socket(settings)
        await runner.serve(listener)
        await runner.open(lambda: None)

        async def send(more, text=good):
            headers = {"Authorization": f"Bearer {text}", **more}
            url = f"http://127.0.0.1:{settings.port}/v1/token"
            async with ClientSession() as session, session.post(url, headers=headers) as answer:
                return answer.status

        yield send
        await runner.drain(listener)


@pytest.mark.parametrize("way", [PLAIN, USUAL], ids=["plain", "usual"])
async def test_an_exchange_is_traced_alike_on_both_ways(exchange, spans, logs, way):
    await exchange(way)  # the first one also opens the connection of the ledger
    spans()
    given = f"00-{TRACE}-{PARENT}-01"
    assert await exchange({"traceparent": given, **way}) == 200
    ended = spans()
    (request,), (batch,), (statement,) = (
        ended["POST /v1/token"],
        ended["ledger batch"],
        ended["postgres select"],
    )
    assert {f"{span.context.trace_id:032x}" for span in (request, batch, statement)} == {TRACE}
    assert f"{request.parent.span_id:016x}" == PARENT
    assert "judge_exchanges_2" in statement.attributes["db.query.text"]
    assert (batch.parent, statement.parent) == (request.context, batch.context)
    assert [link.context for link in batch.links] == [request.context]
    assert [link.context for link in request.links] == [batch.context]
    assert (request.kind, statement.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["tokensvc.key_id"].startswith("key_")
    _, line = logs.find("request")
    assert line["traceparent"] == f"00-{TRACE}-{request.context.span_id:016x}-01"


async def test_a_batch_is_linked_with_each_of_its_exchanges(exchange, spans):
    spans()
    many = 16  # while the first is judged, others gather
    ways = [USUAL if number % 3 == 0 else PLAIN for number in range(many)]
    assert await asyncio.gather(*map(exchange, ways)) == [200] * many
    ended = spans()
    requests, batches = ended["POST /v1/token"], ended["ledger batch"]
    assert len(batches) < len(requests) == many
    linked = {
        batch.context.span_id: {link.context.span_id for link in batch.links} for batch in batches
    }
    for request in requests:
        (link,) = request.links
        assert request.context.span_id in linked[link.context.span_id]
    assert sum(map(len, linked.values())) == many


async def test_a_refusal_says_why_and_holds_no_secret(exchange, spans):
    spans()
    text = f"tsk-{'x' * 32}"
    assert await exchange(PLAIN, text) == 401
    (request,) = spans()["POST /v1/token"]
    assert request.attributes["tokensvc.reason"] == "malformed_key"
    assert request.status.status_code is StatusCode.UNSET
    assert text not in request.to_json()


async def test_a_client_that_has_gone_is_told_of(spans):
    async def act(*_):
        raise asyncio.CancelledError

    tracer = Tracing.tracer
    assert tracer is not None
    request = SimpleNamespace(method="BREW", headers={})
    with pytest.raises(asyncio.CancelledError):
        await answer_traced(tracer, "/v1/x", act, request, act)
    (span,) = spans()["_OTHER /v1/x"]
    assert span.attributes["http.response.status_code"] == 499


async def test_statements_of_an_operation_are_traced_without_their_values(spans, admin):
    spans()
    assert (await admin("GET /v1/keys?name=a-name-to-look-for")).status == 200
    ended = spans()
    (request,) = ended["GET /v1/keys"]
    texts = [
        span.attributes["db.query.text"]
        for span in ended["postgres select"]
        if span.parent == request.context
    ]
    assert any("api_key" in text for text in texts)
    text = "".join(span.to_json() for found in ended.values() for span in found)
    assert "a-name-to-look-for" not in text
    assert admin.headers["Authorization"].removeprefix("Bearer ") not in text


async def test_an_error_of_a_statement_is_named_without_the_value_that_it_quotes(spans):
    async def ask():
        raise ValueError('invalid input syntax: "a-value-of-somebody"')

    tracer = Tracing.tracer
    assert tracer is not None
    with tracer.trace_request({}, "GET", "/v1/keys"), pytest.raises(ValueError, match="somebody"):
        await tracer.trace_statement("select $1", ask())
    (statement,) = spans()["postgres select"]
    assert (statement.status.status_code, statement.status.description) == (
        StatusCode.ERROR,
        "ValueError",
    )
    assert "a-value-of-somebody" not in statement.to_json()


async def test_what_is_asked_again_and_again_is_in_no_trace(spans, client):
    spans()
    assert (await client.get("/livez")).status == 200
    assert spans() == {}
