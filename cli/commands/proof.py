"""Commands that prove a log: keys, signed checkpoints, verification, proofs for an outsider."""

import json
from pathlib import Path
from typing import Annotated

import typer

from oms_es.audit.archive_check import verify_archive
from oms_es.cli.context import place
from oms_es.cli.exit_codes import REFUSED
from oms_es.cli.options import Account, Checkpoints, CommonOptions, Json, LogOptions, Verifiers
from oms_es.cli.progress import pages_with_progress
from oms_es.cli.render import counted, print_message, show, show_json
from oms_es.cli.replay_source import Archive
from oms_es.engine.settings import Settings
from oms_es.errors import InvalidInput, InvalidNote
from oms_es.files import check_apart, replacing
from oms_es.identifiers import identifier, shown
from oms_es.proof.checkpoint import Checkpoint, decoded, sign_head, write_note
from oms_es.proof.keys import SigningKey, VerifierKey, create, public_path
from oms_es.proof.prove import check_proof, prove_consistency, prove_order, read_proof
from oms_es.proof.verify import ANCHORED, Verification
from oms_es.proof.verify import verify as verify_log

Quick = Annotated[
    bool, typer.Option("--quick", help="Leave out the digests of closed days and the indexes of the file.")
]
PrivateKey = Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key.")]
KeyName = Annotated[str | None, typer.Option("--name", metavar="NAME", help="The key's name, if there is no FILE.pub.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file [default: stdout].")]
ProofFile = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The proof, as JSON.")]
OneCheckpoint = Annotated[Path, typer.Option("--checkpoint", metavar="FILE", help="A signed checkpoint of the log.")]
Append = Annotated[Path | None, typer.Option("--append", metavar="FILE", help="Append the checkpoint to this file.")]


def key(context: typer.Context) -> None:
    """
    Create a key that signs checkpoints.

    For example:

        oms key new desk -o other.key
    """
    if context.invoked_subcommand is None:
        show(context.get_help())


def new_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name in the signatures, without space and +.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The private key; FILE.pub is beside.")
    ],
) -> None:
    """
    Create an Ed25519 key pair.

    FILE is the private key (PEM, PKCS#8, file mode 600), FILE.pub the verifier key, which is also printed. No file is
    overwritten. Whoever has
    the private key can sign another history: store it apart from the log.

    For example:

        oms key new desk -o other.key
    """
    show(str(create(name, output)))


def checkpoint(
    private: PrivateKey,
    name: KeyName = None,
    output: Output = None,
    append: Append = None,
    *,
    options: CommonOptions,
) -> None:
    """
    Sign the head of the log: events and Merkle root.

    Store the checkpoint in a place that the writers of the log cannot change. Later it proves that the events up to the
    head were not changed.

    For example:

        oms checkpoint --key desk.key -o head.ckpt

        oms checkpoint --key desk.key --append day.ckpts
    """
    if output is not None and append is not None:
        raise InvalidInput("give --output or --append, not both")
    signer, target = SigningKey.load(private, name), output or append
    with options.open() as opened:
        if target is not None:
            check_apart(target, opened.log.path)
        found = sign_head(opened.log, [signer])
    if target is not None:
        write_note(found, target, append=append is not None)
        print_message(f"{counted(found.events, 'event')} signed by {signer.verifier.label} in {shown(target)}")
    if options.as_json:
        show_json(_as_json(found))
    elif target is None:
        show(found.note.removesuffix("\n"))


def _as_json(found: Checkpoint) -> dict[str, object]:
    return {"log_id": found.log_id, "events": found.events, "root": found.root.hex(), "note": found.note}


def verify(
    checkpoints: Checkpoints = None,
    keys: Verifiers = None,
    quick: Quick = False,
    archive: Archive = None,
    *,
    options: CommonOptions,
) -> None:
    """
    Verify the log: rows, hash chain, checkpoints.

    Each row is hashed again; no cache and no index is used, and nothing in the file is executed. Exit code 0 if the log
    is sound and a checkpoint anchors it; 1 for a mismatch, with the first bad seq and the kind of damage; 3 if it is
    sound, but no checkpoint with its key anchors it; 4 if the log is missing, empty or cannot be read.

    Without --checkpoint and --key, those of the settings are used (proof.checkpoints, proof.key). A day archive is
    verified by itself, with the checkpoint in it.

    For example:

        oms verify --checkpoint day.ckpts --key desk.key.pub

        oms verify --checkpoint day.ckpts --key desk.key.pub --quick --json

        oms verify day.omsday --key desk.key.pub
    """
    known = [VerifierKey.load(each) for each in keys or ()]
    if archive is not None:
        if checkpoints:
            raise InvalidInput("--checkpoint is for a log; a day archive contains its own checkpoint")
        found = verify_archive(archive, known)
    else:
        settings, path = place(options.log, options.config)
        if settings.proof_key and not (checkpoints or known):
            checkpoints, known = _of_settings(settings)
        found = verify_log(path, checkpoints or (), known, quick=quick, wrap=pages_with_progress)
    if options.as_json:
        show_json(found.rows())
    else:
        _show(found)
    raise typer.Exit(found.exit_code)


def _of_settings(settings: Settings) -> tuple[list[Path], list[VerifierKey]]:
    """Return the checkpoints and the key that the settings name, as far as they exist."""
    file, public = Path(settings.proof_checkpoints), public_path(Path(settings.proof_key))
    return [file] if file.exists() else [], [VerifierKey.load(public)] if public.exists() else []


def _show(found: Verification) -> None:
    for each in found.checkpoints:
        agrees = "agrees" if each.ok else "does not agree"
        checked = f"signed by {each.key}" if each.key else "signature not checked"
        show(f"checkpoint of {each.events} events in {shown(each.file)}: {agrees}, {checked}")
    if not found.is_sound:
        show(f"{found.status}: {found.kind + ': ' if found.kind else ''}{found.detail}")
        return
    show(f"{found.status}: {counted(found.events, 'event')}, chain {found.head_chain}")
    tail = f"{counted(found.tail_events, 'event')} over {found.tail_seconds:g} s"
    if found.status == ANCHORED:
        print_message(f"after the last checkpoint that agrees: {tail}")
    else:
        print_message(f"sound, but no checkpoint with its key anchors it: {tail} could be written anew")


def prove(
    order: Annotated[str, typer.Option("--order", metavar="ORDER", help="The order id.")],
    checkpoint_file: OneCheckpoint,
    output: ProofFile,
    account: Account = None,
    *,
    options: LogOptions,
) -> None:
    """
    Prove the events of one order to an outsider.

    The proof contains these events and their paths to the signed root, and nothing else of the log. It can be checked
    without the log: oms verify-proof, or tools/verify_proof.py, which needs no oms_es.

    For example:

        oms prove --order a-1 --checkpoint day.ckpts -o a-1.json
    """
    with options.open() as opened:
        check_apart(output, opened.log.path)
        proof = prove_order(opened.log, identifier(order, "--order"), checkpoint_file, account)
    _write(proof, output)
    events = counted(len(proof["events"]), "event")
    print_message(f"{events} of order {order} in {shown(output)}; events after the checkpoint are left out")


def consistency(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The earlier checkpoint.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The later checkpoint.")],
    output: ProofFile,
    *,
    options: LogOptions,
) -> None:
    """
    Prove that a log continues an earlier checkpoint.

    For example:

        oms consistency day.ckpts day.ckpts -o both.json
    """
    with options.open() as opened:
        check_apart(output, opened.log.path)
        proof = prove_consistency(opened.log, old, new)
    _write(proof, output)
    print_message(f"the proof of consistency is in {shown(output)}")


def _write(proof: dict[str, object], path: Path) -> None:
    with replacing(path) as fresh:
        fresh.write_text(json.dumps(proof, indent=1) + "\n", encoding="utf-8")


def verify_proof(
    proof: Annotated[Path, typer.Argument(metavar="PROOF", help="A file of oms prove or oms consistency.")],
    keys: Annotated[list[Path], typer.Option("--key", metavar="FILE.pub", help="The verifier key; repeatable.")],
    as_json: Json = False,
) -> None:
    """
    Check a proof; no log is needed.

    Exit code 1, with the reason, if it does not prove what it claims.

    For example:

        oms verify-proof a-1.json --key desk.key.pub
    """
    known = [VerifierKey.load(each) for each in keys]
    try:
        found = check_proof(read_proof(proof), known)
    except InvalidNote as error:
        if as_json:
            show_json({"proven": False, "reason": str(error)})
        print_message(f"{shown(proof)} proves nothing: {error}")
        raise typer.Exit(REFUSED) from None
    if as_json:
        show_json({"proven": True, "log_id": found.log_id, "events": found.events, "key": found.key})
        return
    for row in found.rows:
        show(f"{row['seq']:>8}  {row['topic']:<18}  {decoded(row['state']).decode(errors='backslashreplace')}")
    print_message(f"proven, signed by {found.key}: {found.statement}")
