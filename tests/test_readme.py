"""What the README and the pages of docs/ show really happens."""

import os
import re
import sqlite3
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from msgspec.structs import replace

from oms_es import Settings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
}
PICTURE = ROOT / "docs/terminal.svg"


def blocks(language: str) -> list[str]:
    pattern = re.compile(rf"^```{language}\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
    return [block for page in PAGES.values() for block in pattern.findall(page)]


def run(command: list[str], folder: Path) -> str:
    home = {"HOME": str(folder), "OMS_LOG": "", "OMS_CONFIG": ""}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, **home, "PATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_embedding_code_runs_and_does_what_it_says(tmp_path: Path) -> None:
    (code,) = blocks("python")
    (tmp_path / "bot.py").write_text(code, encoding="utf-8")

    said, again = (run([sys.executable, "-W", "error", "bot.py"], tmp_path).splitlines() for _ in range(2))

    assert said[0] == "50% filled, 50 remain"
    assert (
        said[1]
        == "Order rejected: POSITION_SIZE: 20100 ADAUSDM would exceed the limit of 10000 (risk.max_position_size)"
    )
    assert said[2] == "50 []"
    assert again == said
    assert len(code.strip().splitlines()) < 20


@pytest.mark.parametrize("session", blocks("console"))
def test_a_terminal_session_shows_what_the_commands_print(session: str, tmp_path: Path) -> None:
    steps = re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]
    shown = [step.partition("\n")[2] for step in steps]

    printed = [run(["bash", "-c", step.partition("\n")[0]], tmp_path) for step in steps]

    assert printed == shown


def test_the_settings_shown_are_the_defaults(tmp_path: Path) -> None:
    (shown,) = blocks("yaml")
    (tmp_path / "oms.yaml").write_text(shown, encoding="utf-8")

    read, default = Settings.from_file(tmp_path / "oms.yaml"), Settings.default()

    assert read.values == default.values
    assert set(read.named) == set(default.values)
    assert replace(read, named=(), source=None) == default


def test_the_queries_run_on_the_tables_of_a_day(tmp_path: Path) -> None:
    (queries,) = blocks("sql")
    run(["oms", "demo", "--log", "day.db"], tmp_path)
    run(["oms", "tables", "desk.db", "--log", "day.db"], tmp_path)
    tables = sqlite3.connect(tmp_path / "desk.db")

    found = [tables.execute(query).fetchall() for query in queries.split(";") if query.strip()]

    tables.close()
    assert [len(rows) for rows in found] == [2, 3]  # accounts; late, busted and corrected fills


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_exists(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[page])

    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_the_readme_leads_to_every_page() -> None:
    assert [page for page in PAGES if page != "README.md" and f"]({page})" not in README] == []


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


def test_the_picture_shows_what_the_commands_print() -> None:
    source = spec_from_file_location("make_picture", ROOT / "docs/make_picture.py")
    assert source
    assert source.loader
    make_picture = module_from_spec(source)
    source.loader.exec_module(make_picture)

    # Only the texts: another version of rich may place them otherwise.
    drawn, stored = texts(make_picture.draw()), texts(PICTURE.read_text(encoding="utf-8"))
    assert drawn == stored, "run `make picture`"


def texts(picture: str) -> list[str]:
    return re.findall(r"<text [^>]*>([^<]*)</text>", picture)
