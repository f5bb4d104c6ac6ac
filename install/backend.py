"""
The build backend: setuptools, and a path for type checkers in an editable install.

An editable install of setuptools maps our packages with an import hook, which mypy and pyright do not run. So its wheel
also gets a .pth file with `install/editable`, a folder that contains the one link `oms_es`. A checkout without links
(an sdist, or Windows without developer mode) is installed with the hook alone.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - the hooks that stay as they are

FOLDER = Path(__file__).resolve().with_name("editable")


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build the wheel of an editable install and return its name (PEP 660)."""
    name = build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    if (FOLDER / "oms_es" / "cli" / "__init__.py").is_file():
        _add(Path(wheel_directory, name), "oms_es_types.pth", f"{FOLDER}\n".encode())
    return name


def _add(wheel: Path, file: str, content: bytes) -> None:
    """Add a file to a wheel, and its row to the wheel's RECORD."""
    with ZipFile(wheel) as old:
        members = {each.filename: old.read(each) for each in old.infolist()}
    record = next(member for member in members if member.endswith(".dist-info/RECORD"))
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    members[file] = content
    members[record] += f"{file},sha256={digest},{len(content)}\n".encode()
    with ZipFile(wheel, "w") as new:
        for member, data in members.items():
            new.writestr(member, data)
