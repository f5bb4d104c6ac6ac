"""The common base of the API methods: log, sequencer, settings and callbacks."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from oms_es.api.refusals import raise_refusal
from oms_es.api.risk_manager import RiskManager
from oms_es.domain.commands import Command, Request
from oms_es.engine.callbacks import Callbacks, OrderCallback, PositionCallback, QuarantineCallback
from oms_es.engine.command_result import CommandResult
from oms_es.engine.log_poller import LogPoller
from oms_es.engine.metrics import Metrics
from oms_es.engine.sequencer import Sequencer
from oms_es.engine.settings import Settings
from oms_es.engine.tracing import traced, tracer
from oms_es.errors import DamagedLog, UnknownOrder
from oms_es.identifiers import identifier
from oms_es.log.contract import Log
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.views import OMSOrder, order_view
from oms_es.timestamps import instant

if TYPE_CHECKING:
    from oms_es.proof.signer import CheckpointSigner


class Session:
    """An open log with its sequencer, through which every command is written."""

    def __init__(
        self,
        settings: str | Path | Settings | None = None,
        *,
        log: str | Path | Log | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        if settings is None:
            settings = Settings.find()
        elif not isinstance(settings, Settings):
            settings = Settings.from_file(settings)
        self.settings = settings
        if log is None:
            log = os.environ.get("OMS_LOG") or settings.log_path
        if isinstance(log, str | Path):
            log = SqliteLog(log, durability=settings.durability, mode=settings.mode)
        self.log: Log = log
        self._callbacks = Callbacks(settings.callback_backlog, settings.callbacks_when_full)
        self.sequencer = Sequencer(self.log, settings, clock, self._callbacks)
        self.risk_manager = RiskManager(self.sequencer, settings, clock)
        self._watch = LogPoller(self.sequencer.follow)
        self._signer = self._signer_of(settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for running commands and close the log; optional, because every result is already durable."""
        self._watch.end()
        await self.sequencer.idle()
        if self._signer is not None:
            self._signer.close()
        self.sequencer.close()

    def _signer_of(self, settings: Settings) -> "CheckpointSigner | None":
        """Return what signs checkpoints of the log, if the settings name a key."""
        if not settings.proof_key or not isinstance(self.log, SqliteLog):
            return None
        from oms_es.proof.signer import CheckpointSigner  # noqa: PLC0415 - most sessions need none

        key, file = Path(settings.proof_key), Path(settings.proof_checkpoints)
        return CheckpointSigner(self.log, key, file, settings.proof_every_events, settings.proof_every_seconds)

    async def _verify(self, consequence: str) -> None:
        """Verify the log in a thread, with its own checkpoints; raise `DamagedLog` if it differs."""
        if not isinstance(self.log, SqliteLog) or not self.log.head().seq:
            return
        from oms_es.proof import verify  # noqa: PLC0415 - it is slow to import

        signer = self._signer
        files = [signer.file] if signer is not None and signer.file.exists() else []
        keys = [] if signer is None else [signer.verifier]
        found = await asyncio.to_thread(verify, self.log.path, files, keys, quick=True)
        if not found.is_sound:
            raise DamagedLog(f"{self.log.path}: {found.detail}; {consequence}")

    @property
    def metrics(self) -> Metrics:
        """
        Return latencies and sizes, measured from the first use of this property.

        Raises:
            MetricsMissing: prometheus-client is not installed (`pip install 'oms_es[metrics]'`).
        """
        if self.sequencer.metrics is None:
            self.sequencer.metrics = Metrics(self.sequencer, self._callbacks)
        return self.sequencer.metrics

    def add_order_callback(self, callback: OrderCallback) -> None:
        """
        Call `callback` with the order for each of its events, after the commit, in log order.

        This includes events of other processes, with a short delay. A synchronous callback has its own thread.
        """
        self._listen()
        self._callbacks.add_order_callback(callback)

    def add_position_callback(self, callback: PositionCallback) -> None:
        """Call `callback` with the position for each of its changes, as `add_order_callback`."""
        self._listen()
        self._callbacks.add_position_callback(callback)

    def add_quarantine_callback(self, callback: QuarantineCallback) -> None:
        """Call `callback` with each change of the quarantine (a fill put in, accepted, rejected)."""
        self._listen()
        self._callbacks.add_quarantine_callback(callback)

    def _listen(self) -> None:
        """Start polling the log for events that other processes append from now on."""
        _ = self.sequencer.state
        self._watch.begin()

    async def _perform(
        self,
        command: Command,
        command_id: str | None,
        occurred_at: Any,
        *,
        any_account: bool = False,
        drawn_id: bool = False,
    ) -> CommandResult:
        """Carry out a command; raise an error if it was refused."""
        request = Request(
            command=command,
            command_id=None if command_id is None else identifier(command_id, "command_id"),
            occurred_at=None if occurred_at is None else instant(occurred_at, "occurred_at"),
            any_account=any_account,
            drawn_id=drawn_id,
        )
        if self._callbacks.anybody:
            self._watch.begin()
        if (found := tracer()) is not None:
            return await traced(found, self.sequencer.perform, request, _raise_refusal)
        answer = await self.sequencer.perform(request)
        _raise_refusal(answer)
        return answer

    @staticmethod
    def _order(answer: CommandResult) -> OMSOrder:
        if answer.order is None:
            raise UnknownOrder("this command has no order")
        return order_view(answer.order)


def _raise_refusal(answer: CommandResult) -> None:
    raise_refusal(answer.command, answer.events, answer.order)
