"""
Merkle trees of RFC 6962 over leaves that are already hashes: roots, inclusion proofs, consistency proofs.

The value of a leaf is used as it is, because it begins its own hash with 00; an inner node is SHA-256(01 ‖ left ‖
right), and the root of the empty tree is SHA-256 of nothing. Source: RFC 6962 section 2.1; the two checks are those of
RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the value of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """
    The roots of the complete subtrees of a tree, largest first: enough to append leaves and to compute the root.

    Args:
        size: the number of leaves.
        hashes: one per bit that is set in `size`.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size, self.hashes = size, list(hashes)
        if len(self.hashes) != size.bit_count() or any(len(each) != 32 for each in self.hashes):
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} complete subtrees of 32 bytes each")

    def add(self, leaf: bytes) -> None:
        """Append a leaf."""
        size, hashes = self.size, self.hashes
        self.size = size + 1
        while size & 1:
            leaf = sha256(b"\x01" + hashes.pop() + leaf).digest()
            size >>= 1
        hashes.append(leaf)

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append many leaves, level by level, which takes half of the time of `add`."""
        nodes, before, complete = list(leaves), self.hashes, list[bytes]()
        size, self.size = self.size, self.size + len(nodes)
        while nodes or size:
            if size & 1:
                nodes.insert(0, before.pop())
            if len(nodes) & 1:
                complete.append(nodes.pop())
            rest = iter(nodes)
            nodes = [sha256(b"\x01" + left + next(rest)).digest() for left in rest]
            size >>= 1
        self.hashes = complete[::-1]

    def root(self) -> bytes:
        """Return the root of the tree."""
        if not self.hashes:
            return EMPTY_ROOT
        *rest, root = self.hashes
        for left in reversed(rest):
            root = node(left, root)
        return root


class Tree:
    """A whole tree in memory, 64 bytes per leaf, for proofs."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.size = len(leaves)
        self._levels = [list(leaves)]  # of the complete subtrees of 1, 2, 4, … leaves
        while len(below := self._levels[-1]) > 1:
            self._levels.append([node(*pair) for pair in zip(below[::2], below[1::2], strict=False)])

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` leaves."""
        size = self.size if size is None else size
        return self._range(0, size) if size else EMPTY_ROOT

    def _range(self, first: int, end: int) -> bytes:
        """Return the root over the leaves `first` to `end`; `first` is a multiple of the power of two that spans it."""
        width = end - first
        if width & (width - 1) == 0:
            level = width.bit_length() - 1
            return self._levels[level][first >> level]
        middle = first + _left(width)
        return node(self._range(first, middle), self._range(middle, end))

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the audit path of the leaf `index` (from 0), from the leaf up, in the tree of the first `size`."""
        if not 0 <= index < size <= self.size:
            raise ValueError(f"no leaf {index} in a tree of {size} leaves (of {self.size})")
        path, first, end = list[bytes](), 0, size
        while end - first > 1:
            middle = first + _left(end - first)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(first, middle))
                first = middle
        return path[::-1]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of the first `old` leaves is the beginning of that of the first `new`."""
        if not 0 <= old <= new <= self.size:
            raise ValueError(f"no tree of {old} leaves in a tree of {new} leaves (of {self.size})")
        if old in {0, new}:
            return []
        path, first, end, is_whole = list[bytes](), 0, new, True  # whole: the old tree's root, which the reader has
        while old != end - first:
            left = _left(end - first)
            if old <= left:
                path.append(self._range(first + left, end))
                end = first + left
            else:
                path.append(self._range(first, first + left))
                first, old, is_whole = first + left, old - left, False
        if not is_whole:
            path.append(self._range(first, end))
        return path[::-1]


def _left(width: int) -> int:
    """Return the largest power of two below `width`: the number of leaves on the left of a node."""
    return 1 << (width - 1).bit_length() - 1


def root_of_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root to which an audit path leads from a leaf; None when the path has the wrong length."""
    if not 0 <= index < size:
        return None
    at, last, root = index, size - 1, leaf
    for each in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            root = node(each, root)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            root = node(root, each)
        at, last = at >> 1, last >> 1
    return root if last == 0 else None


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Return whether a consistency proof shows that the old tree is the beginning of the new one."""
    if not 0 < old < new:
        return not path and (old_root == EMPTY_ROOT if old == 0 < new else old == new and old_root == new_root)
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not steps:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = steps[0]
    for each in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node(each, first), node(each, second)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            second = node(second, each)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root
