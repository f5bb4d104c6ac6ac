"""
Proof that a log is as it was written: verification, signed checkpoints, Merkle proofs.

    found = verify("day.db", checkpoints=["day.ckpts"], keys=["desk.key.pub"])

May import: the log and the domain; `closings` alone also projections, for the digests of closed days.
"""

from oms_es.proof.verify import Verification, verify

__all__ = ["Verification", "verify"]
