"""`oms serve`: the page of the last trading day, live in a browser."""

import logging
import secrets
import socket
from typing import Annotated

import typer

from oms_es.cli.context import place
from oms_es.cli.options import LogOptions
from oms_es.cli.render import print_message, show
from oms_es.errors import InvalidInput, LogError, LogMissing

DEFAULT_PORT = 8477
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - only compared with; the default is this machine
Port = Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="The port; 0 takes a free one.")]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen at; by default only this machine.")]
AllowHost = Annotated[
    str | None, typer.Option(metavar="NAME", help="Another name by which browsers call this server, like desk.lan.")
]


def serve(
    port: Port = DEFAULT_PORT, host: Host = "127.0.0.1", allow_host: AllowHost = None, *, options: LogOptions
) -> None:
    """
    Serve the page of the last trading day, live.

    The log is only read. The printed address has a token that opens the page; needs oms_es[serve]. The same server
    answers /api/positions, /api/history, /api/why, /api/diff, /events and /metrics.

    For example:

        oms serve --port 8477
    """
    try:
        import uvicorn  # noqa: PLC0415 - an extra

        from oms_es.report.live import LiveLog  # noqa: PLC0415
        from oms_es.report.server import Server  # noqa: PLC0415
    except ImportError:
        raise InvalidInput("oms serve needs the extra: pip install 'oms_es[serve]'") from None
    settings, path = place(options.log, options.config)
    if not path.exists():
        raise LogMissing(f"there is no log at {path}; name another with --log PATH or $OMS_LOG")
    live = LiveLog(path, settings.policy.method)
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    names = {"127.0.0.1", "localhost", "[::1]", *([] if host in _EVERYWHERE else [_named(host)])}
    names |= {allow_host} if allow_host else set()
    token = secrets.token_urlsafe(24)
    server = Server(live, token, [f"{name}:{port}" for name in names])
    shown = "127.0.0.1" if host in _EVERYWHERE else _named(host)
    show(f"http://{shown}:{port}/?token={token}")
    if shown not in ("127.0.0.1", "localhost", "[::1]"):
        print_message("other machines can read this address without encryption; put a server with TLS before it")
    print_message(f"{path} is live there until Ctrl-C")
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # pages that are open at the end are no error
    config = uvicorn.Config(server, log_config=None, lifespan="off", timeout_graceful_shutdown=1, server_header=False)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        live.close()


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
    except OSError as error:
        raise LogError(f"{host}:{port}: cannot listen there: {error.strerror}; try --port 0") from None
