"""Check a proof of oms_es without the log: python verify_proof.py PROOF.json KEY.pub. It needs only `cryptography`."""

import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

COLUMNS = ("seq", "originator_id", "originator_version", "topic", "account", "origin")
COLUMNS += ("occurred_at", "effective_at", "recorded_at", "trading_day", "command_id")


def require(claim, reason):
    if not claim:
        raise ValueError(reason)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def read_note(note, log_id, name, public):
    """Return the number of events and the root of a signed checkpoint."""
    text, signatures = note.split("\n\n")
    origin, events, root = text.split("\n")
    require(origin == "oms_es/" + log_id, "the checkpoint is of another log")
    key_id = sha(name.encode(), b"\n\x01", public)[:4]
    raws = [base64.b64decode(s.split(" ")[2]) for s in signatures.splitlines() if s.startswith("— " + name + " ")]
    require(ours := [raw[4:] for raw in raws if raw[:4] == key_id], "the checkpoint is not signed by " + name)
    for signature in ours:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, (text + "\n").encode())
    return int(events), base64.b64decode(root)


def prefixed(value):
    require(value is None or type(value) in (str, int), "a column is neither text nor a whole number")
    raw = b"" if value is None else str(value).encode()
    return b"\xff\xff\xff\xff" if value is None else len(raw).to_bytes(4, "big") + raw


def leaf(event):
    body = sha(bytes.fromhex(event["salt"]), base64.b64decode(event["state"], validate=True))
    return sha(b"\x00", *(prefixed(event[column]) for column in COLUMNS), body)


def climb(steps, at, last):
    """Yield each hash of a path with the side on which it is; RFC 9162 sections 2.1.3.2 and 2.1.4.2."""
    for step in steps:
        require(last > 0, "a path is too long")
        is_left = at % 2 == 1 or at == last
        while is_left and at % 2 == 0 and at > 0:
            at, last = at >> 1, last >> 1
        yield step, is_left
        at, last = at >> 1, last >> 1
    require(last == 0, "a path is too short")


def check_order(proof, name, public):
    size, root = read_note(proof["checkpoint"], proof["log_id"], name, public)
    stream = f"order/{proof['order']['account']}/{proof['order']['order_id']}"
    require(proof["format"] == 1, "the leaves have an unknown format")
    for version, event in enumerate(proof["events"], 1):
        require((event["originator_id"], event["originator_version"]) == (stream, version), "events are out of order")
        require(0 <= event["index"] == event["seq"] - 1 < size, "seq and index differ")
        found = leaf(event)
        for step, is_left in climb(map(base64.b64decode, event["path"]), event["index"], size - 1):
            found = sha(b"\x01", step, found) if is_left else sha(b"\x01", found, step)
        require(found == root, f"seq {event['seq']} is not in the log")
        print(event["seq"], event["topic"], base64.b64decode(event["state"]).decode())
    require(len(proof["events"]) == proof["complete"]["stream_events"] > 0, "events are missing")
    print("These are events 1 to", version, "of", stream, "- whether more events follow cannot be known.")


def check_consistency(proof, name, public):
    (old, old_root), (new, new_root) = (read_note(proof[n], proof["log_id"], name, public) for n in ("old", "new"))
    path = [base64.b64decode(each) for each in proof["path"]]
    require(0 < old <= new, "the old checkpoint has more events than the new one, or none")
    at, last = (old - 1, new - 1) if old < new else (0, 0)
    while at % 2 == 1:
        at, last = at >> 1, last >> 1
    first = second = old_root if at == 0 else path.pop(0)
    for step, is_left in climb(path, at, last):
        first = sha(b"\x01", step, first) if is_left else first
        second = sha(b"\x01", step, second) if is_left else sha(b"\x01", second, step)
    require((first, second) == (old_root, new_root), "the new log does not begin with the old one")


if __name__ == "__main__":
    try:
        document, verifier = (open(path, encoding="utf-8").read() for path in sys.argv[1:3])
        key_name, _, key = verifier.strip().split("+", 2)
        check = check_consistency if "path" in json.loads(document) else check_order
        check(json.loads(document), key_name, base64.b64decode(key)[1:])
    except (ValueError, LookupError, TypeError, InvalidSignature) as error:
        sys.exit("NOT proven: " + (str(error) or "the signature is wrong"))
    print("proven: signed by", key_name)
