"""Merkle trees of RFC 6962: roots, inclusion proofs and consistency proofs."""

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_es.proof.merkle import EMPTY_ROOT, Frontier, Tree, is_consistent, root_of_inclusion

# The test vectors of Certificate Transparency (google/certificate-transparency, merkle_tree_test): inputs and roots.
INPUTS = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = """
6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d
fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125
aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77
d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7
4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4
76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef
ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c
5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328
""".split()  # noqa: SIM905
LEAVES = [sha256(b"\x00" + each).digest() for each in INPUTS]
# The audit paths and consistency proofs of the same vectors, by their positions in the tree.
PATHS = {
    (0, 8): ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
    (5, 8): ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
             "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
             "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}  # fmt: skip
CONSISTENT = {
    (1, 8): ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
    (6, 8): ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
             "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
             "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
}  # fmt: skip


def leaves(count: int) -> list[bytes]:
    return [sha256(b"\x00%d" % number).digest() for number in range(count)]


def test_the_roots_are_those_of_the_published_vectors() -> None:
    frontier, tree = Frontier(), Tree(LEAVES)

    assert (
        frontier.root()
        == EMPTY_ROOT
        == bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    )
    for size, (leaf, root) in enumerate(zip(LEAVES, ROOTS, strict=True), 1):
        frontier.add(leaf)
        assert frontier.root().hex() == tree.root(size).hex() == root


def test_the_proofs_are_those_of_the_published_vectors() -> None:
    tree = Tree(LEAVES)

    for (index, size), path in PATHS.items():
        assert [each.hex() for each in tree.inclusion(index, size)] == path
    for (old, new), path in CONSISTENT.items():
        assert [each.hex() for each in tree.consistency(old, new)] == path


def test_every_proof_of_a_small_tree_is_accepted_and_no_other_is() -> None:
    tree = Tree(leaves(40))

    for size in range(1, 41):
        root = tree.root(size)
        for index in range(size):
            path = tree.inclusion(index, size)
            assert root_of_inclusion(leaves(40)[index], index, size, path) == root
            assert root_of_inclusion(leaves(40)[index], index, size, [*path, bytes(32)]) != root
            assert root_of_inclusion(leaves(40)[index - 1], index, size, path) != root or size == 1
        for old in range(size + 1):
            path = tree.consistency(old, size)
            assert is_consistent(old, size, tree.root(old), root, path)
            assert not is_consistent(old, size, tree.root(old), root, [*path, bytes(32)])
            assert not path or not is_consistent(old, size, tree.root(old), root, path[:-1])
            assert old == 0 or not is_consistent(old, size, bytes(32), root, path)


@settings(max_examples=20)
@given(st.integers(1, 300), st.data())
def test_an_independent_library_has_the_same_roots_and_paths(size: int, data: Any) -> None:
    pymerkle = pytest.importorskip("pymerkle")
    index = data.draw(st.integers(0, size - 1))
    entries = [b"%d" % number for number in range(size)]
    other = pymerkle.InmemoryTree.init_from_entries(entries, algorithm="sha256")
    tree = Tree([sha256(b"\x00" + each).digest() for each in entries])

    assert tree.root() == other.get_root()
    proof = other.prove_inclusion(index + 1, size)
    pymerkle.verify_inclusion(tree_leaf(entries[index]), tree.root(), proof)
    assert sorted(map(bytes, proof.path)) == sorted([tree_leaf(entries[index]), *tree.inclusion(index, size)])
    old = data.draw(st.integers(1, size))
    proof = other.prove_consistency(old, size)
    pymerkle.verify_consistency(tree.root(old), tree.root(), proof)


def tree_leaf(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def test_a_frontier_continues_where_it_was() -> None:
    whole = Frontier()
    for leaf in leaves(11):
        whole.add(leaf)
    begun = Frontier()
    for leaf in leaves(7):
        begun.add(leaf)

    again = Frontier(7, begun.hashes)
    for leaf in leaves(11)[7:]:
        again.add(leaf)

    assert again.root() == whole.root()
    for first in range(12):
        at_once = Frontier()
        at_once.extend(leaves(11)[:first])
        at_once.extend(leaves(11)[first:])
        at_once.extend([])
        assert (at_once.size, at_once.hashes) == (11, whole.hashes)
    with pytest.raises(ValueError, match="7 leaves has 3 complete subtrees"):
        Frontier(7, begun.hashes[1:])
