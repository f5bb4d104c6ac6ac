"""Commands that copy a log, check its files, and save what can be saved of a damaged one."""

import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from oms_es.audit.copies import Copied, back_up, salvage
from oms_es.audit.copies import restore as restore_copy
from oms_es.audit.doctor import examine
from oms_es.cli.context import place
from oms_es.cli.options import Checkpoints, CommonOptions, Verifiers
from oms_es.cli.progress import pages_with_progress
from oms_es.cli.render import counted, print_message, show, show_json
from oms_es.identifiers import escaped, shown
from oms_es.proof.verify import verify

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="The new file; an existing one is not overwritten.")]
FromBackup = Annotated[Path, typer.Argument(metavar="FILE", help="The backup, or another whole copy of a log.")]
Damaged = Annotated[Path, typer.Argument(metavar="DAMAGED", help="The damaged log; it is only read.")]
NewLog = Annotated[Path, typer.Option("--output", "-o", metavar="NEW", help="The new log.")]


def backup(file: BackupFile, *, options: CommonOptions) -> None:
    """
    Copy the log into one file while trading goes on.

    The copy is the log as of one moment, complete without a write-ahead log, and verified. A plain copy of a log in use
    lacks its last events.

    For example:

        oms backup day-backup.db --log day.db
    """
    log = place(options.log, options.config).log
    check = partial(verify, wrap=pages_with_progress)
    _show_copy(back_up(log, file, check), f"{shown(log)} is copied to {shown(file)}", options)


def restore(
    file: FromBackup, checkpoints: Checkpoints = None, keys: Verifiers = None, *, options: CommonOptions
) -> None:
    """
    Restore a backup as a new log.

    The backup is verified first, against signed checkpoints too if any are named. An existing log is never overwritten:
    move it to another folder, with its -wal. Caches of an earlier log at the same path are removed.

    For example:

        oms restore day.db --log restored.db
    """
    log = place(options.log, options.config).log
    check = partial(verify, checkpoints=checkpoints or (), keys=keys or (), wrap=pages_with_progress)
    _show_copy(restore_copy(file, log, check), f"{shown(log)} is restored from {shown(file)}", options)


def salvage_log(damaged: Damaged, output: NewLog, *, options: CommonOptions) -> None:
    """
    Save the sound part of a damaged log as a new log.

    The events from the first on are read until one is not as it was written; the new log has them with the same chain
    values. It ends with code 1 if anything was left out.

    For example:

        oms salvage day.db -o saved.db
    """
    found = salvage(damaged, output)
    if options.as_json:
        content = {"events": found.copy.events, "head_chain": found.copy.chain}
        show_json({**content, "lost_from": found.lost_from, "why": found.why})
    else:
        _show_copy(found.copy, f"{shown(output)} contains what was saved of {shown(damaged)}", options)
    if found.why is not None:
        print_message(f"seq {found.lost_from} and everything after it is not in it: {found.why}")
        raise typer.Exit(1)


def doctor(*, options: CommonOptions) -> None:
    """
    Report the problems of a log, with advice.

    It looks at the file and the files beside it, reads every event, and changes nothing. It ends with code 1 if
    something is wrong.

    For example:

        oms doctor --log day.db
    """
    log = place(options.log, options.config).log
    report = examine(log, time.time_ns(), partial(verify, wrap=pages_with_progress))
    if options.as_json:
        findings = [{"problem": each.problem, "advice": each.advice} for each in report.findings]
        show_json({"events": report.events, "head_chain": report.chain, "findings": findings})
    else:
        for each in report.findings:
            show(f"{escaped(each.problem)}\n    {escaped(each.advice)}")
        if not report.findings:
            show(f"{shown(log)}: nothing is wrong; {counted(report.events, 'event')}, each as it was written")
    if report.findings:
        raise typer.Exit(1)


def _show_copy(copy: Copied, sentence: str, options: CommonOptions) -> None:
    if options.as_json:
        show_json({"events": copy.events, "head_chain": copy.chain})
    else:
        print_message(f"{sentence}: {counted(copy.events, 'event')}, verified")
        print_message(f"head {copy.events}, chain {copy.chain}")
