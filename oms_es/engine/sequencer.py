"""
The single writer of a process: it decides all queued commands in order, appends them in one transaction, and answers.

A command is answered only after its events are durable. Decided events change the state at once, but readers see the
committed state, and a failed append is rolled back. When another process has appended meanwhile, its events are applied
and the whole batch is decided again, so no limit is ever exceeded by a race.
"""

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

from msgspec.structs import replace

from oms_es.domain.commands import ApplyReport, Command, OrderCommand, Request
from oms_es.domain.envelope import Draft, Recorded
from oms_es.domain.events import Event
from oms_es.engine.admin_commands import initial_policy, lacks_limits, newer_rules, records_limits
from oms_es.engine.callbacks import Callbacks, Notice
from oms_es.engine.command_handler import handle, is_judged
from oms_es.engine.command_result import CommandResult
from oms_es.engine.decision_time import DecisionTime
from oms_es.engine.idempotency import earlier_result
from oms_es.engine.metrics import Metrics
from oms_es.engine.order_lookup import resolve_order
from oms_es.engine.policy_alerts import log_policy_change
from oms_es.engine.settings import Settings
from oms_es.engine.venue_reports import decide_report
from oms_es.engine.write_model import WriteModel
from oms_es.errors import HeadMoved, LogBusy, LogError, LogWriteUncertain, OmsError
from oms_es.log.contract import Log
from oms_es.log.identity import STOPPING, refusal, refuse_elsewhere
from oms_es.projections.state import State
from oms_es.vocabulary import Origin

MOST_AT_ONCE = 1000  # commands in one transaction
MOST_IN_LOOP = 600  # events that are appended in the event loop
FREE_TRIES = 3  # decisions of one batch before the write lock is taken first
MOST_TRIES = 10  # after that something else is wrong
_log = logging.getLogger("oms_es")


class _Job:
    """A queued request and its outcome."""

    __slots__ = ("ended", "error", "future", "is_answered", "request", "result")

    def __init__(self, request: Request, future: "asyncio.Future[CommandResult]") -> None:
        self.request = request
        self.future = future
        self.result: CommandResult | None = None
        self.error: OmsError | None = None
        self.is_answered = False  # also when its caller has been cancelled
        self.ended: asyncio.Event | None = None  # made for `idle`

    def answered(self) -> None:
        """Note that the job is done."""
        self.is_answered = True
        if self.ended is not None:
            self.ended.set()


class Sequencer:
    """
    The only path from a request to the log.

    Args:
        log: the event store.
        settings: the policy that a new log begins with; changed values of a settings file are recorded later too.
        clock: returns the time now, ns UTC.
        callbacks: they run after a commit.
    """

    def __init__(self, log: Log, settings: Settings, clock: Callable[[], int], callbacks: Callbacks) -> None:
        self.log = log
        self._settings = settings
        self._fallback = settings.policy  # its calendar is used while the log has no policy
        self._clock = clock
        self._callbacks = callbacks
        self._write_model = WriteModel(log, settings, callbacks)
        self._jobs: deque[_Job] = deque()
        self._draining: asyncio.Task[None] | None = None
        self._latest: _Job | None = None  # the last one that was queued
        self._readers = 0  # nested `reading` blocks
        self._busy = False  # the state has changes that are not committed
        self._alone = threading.RLock()  # held while the state is read or changed, never across an await
        self._file_taken = False
        self._cancelled = False
        self.metrics: Metrics | None = None  # created when `oms.metrics` is read
        self._stopped: LogError | None = None  # the reason why commands are refused
        self._writing: Future[object] | None = None  # the append that runs in the thread
        self._pid = os.getpid()
        self.retries = 0  # batches decided again because another process had appended
        self._thread: ThreadPoolExecutor | None = None

    # --- the state ---

    @property
    def state(self) -> State:
        """Return the state after everything in the log; reads the log the first time."""
        refuse_elsewhere(self._pid, "this OrderManagementSystem")
        with self._alone:
            self._abandon_closed_loop()
            if self._write_model.is_open and not self._busy:
                self.catch_up()
            return self._write_model.state

    @contextmanager
    def committed(self) -> Iterator[State]:
        """Show the committed state to any thread inside the `with` block, without reading the log."""
        with self._alone, self._write_model.state.durable() as state:
            yield state

    @contextmanager
    def reading(self) -> Iterator[State]:
        """Show the durable state to any thread inside the `with` block, which must not await."""
        refuse_elsewhere(self._pid, "this OrderManagementSystem")
        with self._alone:
            state = self.state
            self._readers += 1
            try:
                with state.durable():
                    yield state
            finally:
                self._readers -= 1

    def catch_up(self) -> None:
        """Apply the events that other processes have appended."""
        with self._alone:
            self._catch_up(self._write_model.state)

    def _catch_up(self, state: State) -> None:
        assert not self._busy, "events of others are applied to committed state"
        if self._readers:
            return  # a query inside another one, such as that of a log handler
        if isinstance(self._stopped, LogWriteUncertain):
            return  # the events read now may not be durable
        if self.log.head().seq <= state.committed_seq:
            return
        notices, events = [], []
        try:
            for recorded in self.log.read(after=state.committed_seq):
                notices.append(self._apply(state, recorded))
                events.append(recorded.event)
        except BaseException:  # a part of them must not stay: it would be applied twice
            state.rollback()
            raise
        self._write_model.commit()
        self._callbacks.publish(notices)
        for event in events:  # after the commit, for a log handler may query at once
            log_policy_change(event, own=False)

    def follow(self) -> None:
        """Apply the events of other processes, unless a batch is being decided, which does so itself."""
        with self._alone:
            if not self._busy:
                self.catch_up()
        self._callbacks.wake()

    def _apply(self, state: State, recorded: Recorded) -> Notice:
        state.apply(recorded)
        self._write_model.note_late_event(recorded)
        return self._callbacks.notice(state, recorded)

    # --- the queue ---

    async def perform(self, request: Request) -> CommandResult:
        """
        Decide a request and make its events durable.

        Raises:
            OmsError: the command was refused; nothing of it is in the log.
        """
        if self._callbacks.is_blocking:
            await self._callbacks.room()
        return await self._enqueue(request).future

    async def perform_all(self, requests: Sequence[Request]) -> list[CommandResult | OmsError]:
        """Decide many requests in order, many to a transaction; a refused one gives its error."""
        if self._callbacks.is_blocking:
            await self._callbacks.room()
        jobs = [self._enqueue(request) for request in requests]
        found = await asyncio.gather(*(job.future for job in jobs), return_exceptions=True)
        results: list[CommandResult | OmsError] = []
        for each in found:
            if isinstance(each, BaseException) and (isinstance(each, LogError) or not isinstance(each, OmsError)):
                raise each
            results.append(each)
        return results

    def _enqueue(self, request: Request) -> _Job:
        refuse_elsewhere(self._pid, "this OrderManagementSystem")
        loop = asyncio.get_running_loop()
        self._abandon_closed_loop()
        self._latest = job = _Job(request, loop.create_future())
        self._jobs.append(job)
        if self._draining is None or self._draining.done():
            self._draining = loop.create_task(self._drain())
        return job

    def _abandon_closed_loop(self) -> None:
        """Drop the unfinished work of a closed event loop; its durable part is read from the log."""
        draining = self._draining
        if draining is None or not draining.get_loop().is_closed():
            return
        self._draining = self._latest = None
        self._jobs.clear()
        if self._writing is not None:  # wait until its thread has committed or failed
            self._stop_after(self._writing.exception())
        work = draining.get_coro()
        if work is not None:
            work.close()  # its changes are rolled back now, not when it is collected

    def _stop_after(self, error: BaseException | None) -> None:
        """Refuse every further command if the error is one after which nothing may be written."""
        if isinstance(error, STOPPING) and self._stopped is None:
            self._stopped = error
            _log.error("every further command is refused: %s", error)

    async def idle(self) -> None:
        """Wait until every queued command is answered and every callback has run."""
        latest = self._latest
        if latest is not None and not latest.is_answered and not latest.future.get_loop().is_closed():
            latest.ended = latest.ended or asyncio.Event()
            await latest.ended.wait()
        await self._callbacks.idle()

    async def _drain(self) -> None:
        try:
            while self._jobs:
                batch = [self._jobs.popleft() for _ in range(min(len(self._jobs), MOST_AT_ONCE))]
                await self._batch(batch)
                if self._jobs:
                    await asyncio.sleep(0)  # an append in the loop gives no other task a turn
        finally:  # jobs are left only when the event loop ends; none of them was decided
            while self._jobs:
                job = self._jobs.popleft()
                job.future.cancel()
                job.answered()

    async def _batch(self, batch: list[_Job]) -> None:
        try:
            if self._stopped is not None:
                raise refusal(self._stopped)
            for number in range(MOST_TRIES):
                if await self._attempt(batch, lock_first=number >= FREE_TRIES):
                    break
            else:
                raise LogBusy(f"other processes appended during each of {MOST_TRIES} tries; nothing was written")
        except Exception as error:
            # No answer may rest on events that were not written: every command of the batch gets the error.
            self._stop_after(error)
            if not isinstance(error, OmsError):
                _log.exception("the batch failed")
            self._resolve_futures(batch, error)
        except (KeyboardInterrupt, SystemExit):  # whether the batch is in the log is not known here
            for job in batch:
                job.future.cancel()
                job.answered()
            raise
        else:
            self._resolve_futures(batch, None)
        if self._cancelled:
            self._cancelled = False
            raise asyncio.CancelledError

    async def _attempt(self, batch: list[_Job], *, lock_first: bool) -> bool:
        """
        Decide the batch and append it; return False when another process has appended meanwhile.

        With `lock_first` the write lock is taken before deciding: for a batch that was decided in vain several times.
        """
        if not lock_first:
            return await self._attempt_now(batch)
        await self._in_thread(self.log.lock)
        try:
            return await self._attempt_now(batch)
        finally:
            self.log.unlock()

    async def _attempt_now(self, batch: list[_Job]) -> bool:
        asked = any(job.request.origin is Origin.COMMAND for job in batch)
        limits = any(records_limits(job.request) for job in batch)
        with self._alone:
            state, self._busy = self._latest_state(), True
        try:
            with self._alone:
                rules = self._rules(state, limits=limits) if asked else newer_rules(state, partial(self._moment, state))
                drafts, notices = self._decide(state, batch, rules)
            if drafts:
                await self._append(drafts, state.committed_seq)
            else:
                self.log.head()  # no answer from a file that was deleted or replaced: an append checks it too
        except BaseException as error:
            with self._alone:
                state.rollback()
                self._busy = False
            if isinstance(error, HeadMoved):
                self.retries += 1
                return False
            raise
        with self._alone:
            try:
                self._write_model.commit()
            finally:
                self._busy = False
        self._file_taken = self._file_taken or (asked and bool(drafts))
        if self.metrics is not None:
            self.metrics.appended(drafts, state)
        self._callbacks.publish(notices)
        for draft in drafts:
            log_policy_change(draft.event, own=True)
        if self._callbacks.anybody:
            try:
                await self._callbacks.told()
            except asyncio.CancelledError:  # the durable commands are answered first
                self._cancelled = True
        return True

    def _latest_state(self) -> State:
        """Return the state after everything in the log; the append that follows checks the file itself."""
        state = self._write_model.state
        if self.log.peek().seq > state.committed_seq:
            self._catch_up(state)
        return state

    async def _append(self, drafts: list[Draft], decided_on: int) -> None:
        """Append a short batch in the loop while the disk is quick and no other process writes, else in a thread."""
        if self.log.is_quick and len(drafts) <= MOST_IN_LOOP:
            with suppress(LogBusy):  # another process is writing: wait for it in the thread
                self.log.append(drafts, decided_on, wait=False)
                return
        await self._in_thread(partial(self.log.append, drafts, decided_on))

    async def _in_thread(self, work: Callable[[], object]) -> None:
        """Run `work` in a thread; when cancelled, still wait for its end, because it may commit."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="oms-writer")
        self._writing = working = self._thread.submit(work)
        try:
            await asyncio.shield(asyncio.wrap_future(working))
        except asyncio.CancelledError:
            self._cancelled = True
            working.result()

    # --- deciding ---

    def _decide(self, state: State, batch: list[_Job], rules: list[Draft]) -> tuple[list[Draft], list[Notice]]:
        drafts = list(rules)
        notices = [self._stage(state, draft) for draft in rules]
        pending: dict[str, list[Event]] = {}
        asked = [job.request.command_id for job in batch if job.request.command_id]
        known = self.log.known_commands(asked) if asked else set[str]()
        for job in batch:
            job.result, job.error = None, None
            try:
                added, job.result = self._decide_one(state, job.request, pending, known)
            except HeadMoved:
                raise
            except OmsError as error:
                job.error = error
                continue
            job.result.first_seq = state.seq + 1 if added else 0
            notices += [self._stage(state, draft) for draft in added]
            drafts += added
            if isinstance(command := job.result.command, OrderCommand):
                key = state.orders.current_key((command.account, command.order_id))
                job.result.order = state.orders.order(key)
            if job.request.command_id and job.result.events:
                pending[job.request.command_id] = list(job.result.events)
        if len(drafts) == len(rules):  # no command gave an event, so the policy is not recorded either
            state.rollback()
            return [], []
        return drafts, notices

    def _rules(self, state: State, *, limits: bool = True) -> list[Draft]:
        """Return the policy events that the first command of a session records; imports record none."""
        if self._file_taken and not lacks_limits(state.policies):
            return []
        return initial_policy(state, self._settings.values, self._settings.named, self._moment(state), limits=limits)

    def _moment(self, state: State) -> DecisionTime:
        return DecisionTime.of(self._clock(), state, self._fallback)

    @contextmanager
    def with_next_policy(self, state: State) -> Iterator[None]:
        """Show the policy that the next command would record, inside the `with` block, which must not await."""
        with state.undo.tentative():
            for draft in self._rules(state):
                state.policies.apply(draft.recorded_as(state.seq + 1))
            yield

    def _decide_one(
        self, state: State, request: Request, pending: dict[str, list[Event]], known: set[str]
    ) -> tuple[list[Draft], CommandResult]:
        repeated = earlier_result(self.log, state, request, pending, known)
        if repeated is not None:
            return [], repeated
        if type(request.command) is ApplyReport:
            return decide_report(state, request, lambda each: self._decide_one(state, each, pending, known)[0])
        command = resolve_order(state, request)
        added = self._judge_in_time(state, request, command)
        events = [draft.event for draft in added]
        return added, CommandResult(command, events, None, repeated=not events)

    def _judge_in_time(self, state: State, request: Request, command: Command) -> list[Draft]:
        """Decide; an order whose risk checks took longer than `system.risk_check_timeout` is refused."""
        moment, begun = self._moment(state), time.perf_counter_ns()
        added = handle(state, request, command, moment)
        spent, most = time.perf_counter_ns() - begun, self._settings.risk_check_timeout  # ns, ms
        if self.metrics is not None:
            self.metrics.judged(spent)
        if spent <= most * 1_000_000 or not is_judged(request, command):
            return added
        took = f"judging took {spent // 1_000_000} ms, the limit is {most} ms (system.risk_check_timeout)"
        return handle(state, request, command, replace(moment, overtime=f"RISK_TIMEOUT: {took}"))

    def _stage(self, state: State, draft: Draft) -> Notice:
        return self._apply(state, draft.recorded_as(state.seq + 1))

    # --- answers ---

    def _resolve_futures(self, batch: list[_Job], error: Exception | None) -> None:
        for job in batch:
            job.answered()
            if job.future.done():
                continue
            found = error or job.error
            if found is not None:
                job.future.set_exception(found)
            else:
                assert job.result is not None, "a job without an error has an answer"
                job.future.set_result(job.result)

    def close(self) -> None:
        """Close the thread and the file; in a forked child do nothing, for both belong to the parent."""
        if self._pid != os.getpid():
            return
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None
        self._write_model.close(committed=not self._busy, stopped=self._stopped is not None)
        self.log.close()
