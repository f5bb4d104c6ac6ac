"""
Sessions of the command line, read from text files that show what one would type and see.

    == [day] A title that could stand in the manual     begins on a copy of the log `day`; without one, on none
    file oms.yaml risk: {max_position_size: 30}         a file in the working folder; \\n begins a new line
    $ positions --symbol ADA          ends with exit code 0; `$1` and `$2` with 1 and 2
    $ orders --open  => orders.#=1    what is expected, on the same line or, indented, on the next ones
    $ mark ADA 1 ; mark BTC 2         several commands of which nothing is expected but their exit code
      | ADA 80                        standard output contains this, runs of spaces taken as one; `-|` does not
      ! 1 position now                standard error contains this; `-!` does not; `!=` and `|=` are all of it
      |# 2                            standard output has so many lines
      positions.*.quantity=80         the answer to `--json` at this path, `*` for each, `#` for how many;
                                      `^=` begins with this, `~=` contains it; two spaces before the next one
      same as above                   the answer to `--json` is that of the command before

`{waiting}` is the id of the first fill in quarantine, `{log}` the path of the log.
"""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import Oms

SAME = "same as above"
CLAIM = re.compile(r"[\w.*#]+(?:\^|~)?=")
Step = tuple[str, str, list[str]]  # where it is, the line, and what is expected of it


def sessions(folder: Path) -> list[Any]:
    """Return the sessions of the text files in a folder as parameters: the log they begin on, and their steps."""
    found: list[Any] = []
    steps: list[Step] = []
    for path in sorted(folder.glob("*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if title := re.fullmatch(r"== (?:\[(\w+)\] )?(.+)", line):
                steps = []
                found.append(pytest.param(title[1] or "empty", steps, id=f"{path.stem}: {title[2]}"))
            elif line.startswith("  "):
                steps[-1][2].append(line.strip())
            elif line and not line.startswith("#"):
                asked, arrow, expected = line.partition("  => ")
                steps.append((f"{path.name}:{number}", asked.rstrip(), [expected.strip()] if arrow else []))
    return found


def play(oms: Oms, steps: list[Step]) -> None:
    """Carry out the steps of a session in the working folder, and check what each shows."""
    previous = ""
    for where, line, expected in steps:
        if line.startswith("file "):
            _, name, content = line.split(" ", 2)
            Path(name).write_text(content.replace("\\n", "\n") + "\n", encoding="utf-8")
            continue
        prompt, _, words = line.partition(" ")
        *before, words = words.split(" ; ")
        for each in before:
            oms(filled_in(each, oms))
        assert prompt.startswith("$"), f"{where}: {line}"
        words, code = filled_in(words, oms), int(prompt[1:] or 0)
        claims = [each for each in expected if CLAIM.match(each) or each == SAME]
        if len(claims) < len(expected) or not expected:
            result = oms(words, code)
            for each in expected:
                if each not in claims and not shows(filled_in(each, oms), result.stdout, result.stderr):
                    pytest.fail(f"{where}: {each}\n{result.stdout}\n{result.stderr}")
        if claims == [SAME]:
            before = json.loads(oms([*shlex.split(previous), "--json"], code).stdout)
            assert json.loads(oms([*shlex.split(words), "--json"], code).stdout) == before, where
        elif claims:
            answer = json.loads(oms([*shlex.split(words), "--json"], code).stdout)
            for claim in re.split(r"\s{2,}", "  ".join(claims)):
                check(where, filled_in(claim, oms), answer)
        previous = words


def filled_in(words: str, oms: Oms) -> str:
    if "{waiting}" in words:
        words = words.replace("{waiting}", oms.json("quarantine")["quarantine"][0]["quarantine_id"])
    return words.replace("{log}", str(oms.log))


def shows(expected: str, stdout: str, stderr: str) -> bool:
    sign, _, words = expected.partition(" ")
    if sign == "|#":
        return len(stdout.splitlines()) == int(words)
    shown = " ".join((stdout if "|" in sign else stderr).split())
    if sign.endswith("="):
        return shown == words
    return (words in shown) is not sign.startswith("-")


def check(where: str, claim: str, answer: Any) -> None:
    path, sign, value = re.split(r"((?:\^|~)?=)", claim, maxsplit=1)
    found = in_words(at(answer, path))
    right = {"=": found == value, "^=": found.startswith(value), "~=": value in found}[sign]
    assert right, f"{where}: {path} is {found}"


def at(answer: Any, path: str) -> Any:
    """Return what an answer holds at a path such as `orders.*.state`; a key may contain points."""
    head, _, rest = path.partition(".")
    while isinstance(answer, dict) and head not in answer and head != "keys" and rest:
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"
    if not head:
        return answer
    if head == "*":
        return [at(each, rest) for each in (answer.values() if isinstance(answer, dict) else answer)]
    if head == "#":
        return len(answer)
    if head == "keys" and "keys" not in answer:
        return list(answer)
    return at(answer[head] if isinstance(answer, dict) else answer[int(head)], rest)


def in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    return value if isinstance(value, str) else json.dumps(value)
