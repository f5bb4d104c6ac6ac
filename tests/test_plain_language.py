"""Docstrings, comments, help, errors and docs use the words of FIX and of event sourcing, and no private ones."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A private word, and what the field calls it.
AVOID = {
    r"told|tells|telling": "reported, shown", r"say|says|said|saying": "state, report, show",
    r"given": "passed, named, the context", r"brought|brings": "contributed, added",
    r"kept": "retained, cached, stored", r"stands|stood": "is, was, in force", r"moved": "changed",
    r"reached|reaching": "high-water mark", r"what is": "name the thing",
    r"take(?:s|n)? in|took in": "ingest, read, apply", r"nobody waits": "must not await",
    r"once more": "again, retry", r"by heart": "in memory",
}  # fmt: skip
# Exact phrases in which such a word has its plain meaning; keep this list tiny.
ALLOWED: tuple[str, ...] = ()
WORDS = re.compile("|".join(rf"\b(?:{pattern})\b" for pattern in AVOID), re.IGNORECASE)

DOCS = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path.name != "LICENSE.md")
SOURCES = sorted(path for folder in ("oms_es", "projections", "cli") for path in (ROOT / folder).rglob("*.py"))


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line number and text, without what is code: lines of a page, or the sentences of a module."""
    text = path.read_text(encoding="utf-8")
    found = page(text) if path.suffix == ".md" else [*sentences(text), *comments(text)]
    for first, block in found:
        for number, line in enumerate(block.splitlines(), first):
            yield number, re.sub(r"`[^`]*`", "", line)


def page(text: str) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= line.startswith("```")
        if not fenced:
            yield number, line


def comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yield docstrings, help texts and messages of errors."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                if docstring := ast.get_docstring(node, clean=False):
                    yield node.body[0].lineno, docstring
            case ast.Raise(exc=ast.AST() as error):
                yield from constants(error)
            case ast.keyword(arg="help", value=value):
                yield from constants(value)


def constants(node: ast.AST) -> Iterator[tuple[int, str]]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.lineno, each.value


def hits(path: Path) -> list[str]:
    """Return each private word in a file, with the line and what to write instead."""
    found = []
    for number, line in prose(path):
        rest = line
        for allowed in ALLOWED:
            rest = rest.replace(allowed, "")
        for word in WORDS.finditer(rest):
            instead = next(new for old, new in AVOID.items() if re.fullmatch(old, word.group(), re.IGNORECASE))
            found.append(f"{path.relative_to(ROOT)}:{number}: {word.group()!r} (write: {instead}): {line.strip()}")
    return found


@pytest.mark.parametrize("path", [*SOURCES, *DOCS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_text_has_no_private_words(path: Path) -> None:
    found = hits(path)

    assert not found, "\n".join(found)
