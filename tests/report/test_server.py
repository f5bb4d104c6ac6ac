"""`oms serve`: who may ask, the same answers as the command line, and events as they are recorded."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_es.vocabulary import CostMethod
from tests.report.conftest import oms

uvicorn = pytest.importorskip("uvicorn", reason="needs oms_es[serve]")
pytest.importorskip("starlette", reason="needs oms_es[serve]")
TOKEN = "a-token"
QUERIES = ("/api/positions", "/api/history", "/api/why", "/api/diff", "/api/news", "/api/track", "/events", "/metrics")


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]


class Served:
    """A server in a thread, and requests to it."""

    def __init__(self, path: Path) -> None:
        from oms_es.cli.commands.serve import _listen
        from oms_es.report.live import LiveLog
        from oms_es.report.server import Server

        self.listening = _listen("127.0.0.1", 0)
        self.port = self.listening.getsockname()[1]
        self.name = f"127.0.0.1:{self.port}"
        self.live = LiveLog(path, CostMethod.FIFO)
        app = Server(self.live, TOKEN, [self.name])
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=0)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listening]})

    def __enter__(self) -> "Served":
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.live.close()

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        with self.asking(path, method, **headers) as answer:
            return Answer(answer.status, answer.read().decode(), dict(answer.headers))

    @contextmanager
    def asking(self, path: str, method: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers={"Authorization": f"Bearer {TOKEN}", **named})
        with closing(connection), connection.getresponse() as answer:
            yield answer

    def get(self, path: str, **parameters: object) -> str:
        answer = self.ask(f"{path}?{urlencode(parameters)}")
        assert answer.status == 200, answer.text
        return answer.text


@pytest.fixture(scope="module")
def served(demo_log: Path) -> Iterator[Served]:
    with Served(demo_log) as started:
        yield started


def test_only_who_has_the_token_is_answered(served: Served) -> None:
    wrong = [
        served.ask("/", Authorization=""),
        served.ask("/?token=another", Authorization=""),
        served.ask("/", Authorization="Bearer another", Cookie=f"oms_token_{served.port}=another"),
        served.ask("/api/positions?token=a-token", Authorization=""),  # in the address of the page only
        *(served.ask(path, Authorization="") for path in QUERIES),
    ]

    first = served.ask(f"/?token={TOKEN}", Authorization="")
    cookie, *rules = first.headers["set-cookie"].split("; ")

    assert {answer.status for answer in wrong} == {403}
    assert first.status == 200
    assert served.ask("/api/positions", Authorization="", Cookie=cookie).status == 200
    assert {"HttpOnly", "SameSite=Strict"} <= set(rules)


def test_another_host_and_another_verb_are_refused(served: Served) -> None:
    hosts = ["evil.example", f"evil.example:{served.port}", "127.0.0.1", f"127.0.0.1:{served.port}.evil.example", ""]

    assert {served.ask("/", Host=host).status for host in hosts} == {421}
    assert {served.ask("/", verb).status for verb in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS")} == {405}


@pytest.mark.parametrize(("path", "parameters", "command"), [
    ("/api/positions", {}, "positions"),
    ("/api/positions", {"at_seq": 50, "method": "lifo"}, "positions --at-seq 50 --method lifo"),
    ("/api/positions", {"known_at": "2024-03-15T14:05:00Z", "symbol": "BOLT"},
     "positions --known-at 2024-03-15T14:05:00Z --symbol BOLT"),
    ("/api/positions", {"as_of": "2024-03-15T14:05:00Z"}, "positions --as-of 2024-03-15T14:05:00Z"),
    ("/api/history", {"symbol": "BOLT", "account": "default"}, "history BOLT --account default"),
    ("/api/why", {"position": "ACME"}, "why position ACME"),
    ("/api/why", {"order": "a-2"}, "why order a-2"),
    ("/api/diff", {"from": "seq:37", "to": "seq:77"}, "diff seq:37 seq:77"),
    ("/api/diff", {"from": 40, "by": "order"}, "diff seq:40 now --by order"),
])  # fmt: skip
def test_the_server_answers_as_the_command_line_does_to_the_byte(
    served: Served, demo_log: Path, path: str, parameters: dict[str, object], command: str
) -> None:
    assert served.get(path, **parameters) + "\n" == oms(*command.split(), "--json", "--log", str(demo_log))


def test_events_are_those_of_tail(served: Served, demo_log: Path) -> None:
    with served.asking("/events", "GET", Last_Event_ID="79") as answer:
        lines = [answer.readline().decode().strip() for _ in range(8)]

    sent = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert sent == oms("tail", "--after", "79", "--no-follow", "--json", "--log", str(demo_log)).splitlines()
    assert [line for line in lines if line.startswith("id: ")] == ["id: 80", "id: 81"]


def test_metrics_name_the_head_of_the_log(served: Served) -> None:
    assert "\noms_log_head_seq 81\n" in served.get("/metrics")


def test_the_live_page_may_ask_its_own_server_and_nobody_else(served: Served) -> None:
    page = served.ask("/").text

    assert "connect-src &#x27;self&#x27;" in page
    assert TOKEN not in page


NAMES = st.sampled_from([
    *("at_seq", "as_of", "known_at", "method", "symbol", "account", "position", "order", "from", "to", "by", "after"),
    *("day", "token", "x", "\u202e"),
])  # fmt: skip
VALUES = st.sampled_from(["", "0", "-1", "9" * 30, "seq:", "seq:x", "now", "fifo", "all", "2024-03-15T14:05:00Z", "1e9",
                          "<script>", "\x00", "BOLT", "a-2", "x" * 300, "1990"])  # fmt: skip


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from([each for each in QUERIES if each != "/events"]),
    pairs=st.lists(st.tuples(NAMES, VALUES), max_size=4),
)
def test_no_query_string_is_an_error_of_the_server(served: Served, path: str, pairs: list[tuple[str, str]]) -> None:
    answer = served.ask(f"{path}?{urlencode(pairs)}")

    assert answer.status in (200, 400, 404), answer.text


@pytest.mark.parametrize("query", ["%ff%fe", "a=%zz", "=", "&&&", "at_seq=1&at_seq=2", "a=1;b=2", "at_seq=%00"])
def test_no_bytes_in_a_query_string_are_an_error_of_the_server(served: Served, query: str) -> None:
    assert served.ask(f"/api/positions?{query}").status in (200, 400)
    assert json.loads(served.ask("/api/positions?at_seq=x").text)["error"].startswith("at_seq: 'x'")
