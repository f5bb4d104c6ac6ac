"""
Settings from YAML, with the spec's keys. Scalars are read as text and typed here.

So `1e3`, `yes` and `12:30` are no surprises: an unknown or ill-typed key is an error that names its path.
"""

import math
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import Struct

from oms_es.domain.policy import DEFAULTS, KEYS, SCOPES, Policy, Value, checked, count, one_of, typed
from oms_es.domain.validation import limit_text, settings_error
from oms_es.errors import InvalidInput
from oms_es.files import not_a_file
from oms_es.identifiers import identifier, shown

_MAX_FILE = 1_000_000
_MAX_NODES = 10_000
_MAX_DEPTH = 9
_MODES = ("600", "640", "660")  # of a new log file: its owner alone, or its group too
_RUNNING = {  # settings that are not part of the policy: path → reader and default
    "system.order_history_retention": (count, "86400"),
    "system.position_snapshot_interval": (count, "300"),
    "system.risk_check_timeout": (count, "1000"),
    "system.quarantine_reminder": (count, "600"),
    "callbacks.backlog": (count, "10000"),
    "callbacks.when_full": (one_of("drop_oldest", "block", "disconnect"), "drop_oldest"),
    "log.path": (lambda value, _: value, "oms.db"),
    "log.verified_rows": (count, "1000"),
    "proof.key": (lambda value, _: value, ""),
    "proof.checkpoints": (lambda value, _: value, ""),
    "proof.every_events": (count, "10000"),
    "proof.every_seconds": (count, "600"),
    "log.durability": (one_of("full", "normal"), "full"),
    "log.mode": (one_of(*_MODES), "600"),
}


class Settings(Struct, frozen=True, kw_only=True):
    """The values of a settings file, with defaults."""

    values: dict[str, Value]  # every key that decides, as canonical text
    named: tuple[str, ...] = ()  # those of them that the file holds
    order_history_retention: int = 86400  # seconds
    position_snapshot_interval: int = 300  # seconds
    risk_check_timeout: int = 1000  # milliseconds
    quarantine_reminder: int = 600  # seconds between warnings while a fill is in quarantine; 0: none
    callback_backlog: int = 10_000  # calls that may wait for one callback; 0: any number
    callbacks_when_full: str = "drop_oldest"
    log_path: str = "oms.db"
    durability: str = "full"
    proof_key: str = ""  # the private key that signs checkpoints; "": none are signed
    proof_checkpoints: str = ""
    proof_every_events: int = 10_000
    proof_every_seconds: int = 600
    verified_rows: int = 1000  # of the end of the log, whose hash chain is checked when it is opened for writing
    mode: int = 0o600  # permissions of a new log file
    source: str | None = None

    @property
    def policy(self) -> Policy:
        """Return the rules that these settings make."""
        return typed(self.values)

    @classmethod
    def default(cls) -> "Settings":
        """Return the settings of a desk that has written none."""
        return cls(values=dict(DEFAULTS))

    @classmethod
    def find(cls) -> "Settings":
        """Return the settings from $OMS_CONFIG, or from ./oms.yaml when it is there, or the defaults."""
        named = os.environ.get("OMS_CONFIG")
        if named:
            return cls.from_file(named)
        return cls.from_file("oms.yaml") if Path("oms.yaml").is_file() else cls.default()

    @classmethod
    def from_file(cls, path: str | Path) -> "Settings":
        """
        Read a YAML file.

        Raises:
            SettingsError: the file, a key or a value is not what it should be; names file and key.
        """
        if found := not_a_file(path):
            raise settings_error(f"{path} is {found}, not a settings file")
        import yaml  # noqa: PLC0415 - without a settings file no command needs to wait for it

        try:
            if Path(path).stat().st_size > _MAX_FILE:
                raise settings_error(f"{path}: larger than a settings file has reason to be")
            node = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except OSError as error:
            raise settings_error(f"{path}: cannot be read: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeError, RecursionError) as error:
            raise settings_error(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
        return cls._from_tree({} if node is None else _Tree(str(path)).of(node), str(path))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Settings":
        """Return the settings of a mapping shaped like the YAML file; a float is read by its shortest text."""
        return cls._from_tree(_texts(mapping, ""), "settings")

    @classmethod
    def _from_tree(cls, tree: Any, source: str) -> "Settings":
        if not isinstance(tree, dict):
            raise settings_error(f"{source}: expected sections like `risk:`, found {shown(tree)}")
        deciding: dict[str, Value] = {}
        running = {path: default for path, (_, default) in _RUNNING.items()}
        for section, keys in tree.items():
            if not isinstance(keys, dict):
                raise settings_error(f"{source}: {section}: expected keys below it, found {shown(keys)}")
            for key, value in keys.items():
                _take(f"{section}.{key}", value, deciding, running, source)
        if bool(running["proof.key"]) != bool(running["proof.checkpoints"]):
            raise settings_error(f"{source}: proof.key and proof.checkpoints are only used together: name both")
        return cls(
            values={**DEFAULTS, **deciding},
            named=tuple(sorted(deciding)),
            order_history_retention=int(running["system.order_history_retention"]),
            position_snapshot_interval=int(running["system.position_snapshot_interval"]),
            risk_check_timeout=int(running["system.risk_check_timeout"]),
            quarantine_reminder=int(running["system.quarantine_reminder"]),
            callback_backlog=int(running["callbacks.backlog"]),
            callbacks_when_full=running["callbacks.when_full"],
            log_path=running["log.path"],
            durability=running["log.durability"],
            verified_rows=int(running["log.verified_rows"]),
            proof_key=running["proof.key"],
            proof_checkpoints=running["proof.checkpoints"],
            proof_every_events=int(running["proof.every_events"]),
            proof_every_seconds=int(running["proof.every_seconds"]),
            mode=int(running["log.mode"], 8),
            source=source,
        )


def _take(path: str, value: Any, deciding: dict[str, Value], running: dict[str, str], source: str) -> None:
    try:
        if f"{path}." in SCOPES:
            _take_scope(path, value, deciding)
        elif path in KEYS:
            deciding[path] = checked(path, tuple(value) if isinstance(value, list) else value)
        elif path in _RUNNING and isinstance(value, str):
            read, _ = _RUNNING[path]
            running[path] = str(read(value, path))
        elif path in _RUNNING:
            raise InvalidInput(f"{path}: {shown(value)} is not allowed here")
        else:
            near = ", ".join(sorted(k for k in (*KEYS, *_RUNNING) if k.partition(".")[0] == path.partition(".")[0]))
            sections = ", ".join(sorted({k.partition(".")[0] for k in (*KEYS, *_RUNNING)}))
            known = f"known here: {near}" if near else f"sections: {sections}"
            raise InvalidInput(f"{path}: unknown key ({known})")
    except InvalidInput as error:
        raise settings_error(f"{source}: {error}") from None


def _take_scope(path: str, scope: Any, deciding: dict[str, Value]) -> None:
    """Add the limits of single symbols or currencies."""
    names = SCOPES[f"{path}."]
    for subject, limits in _mapping(scope, path).items():
        identifier(subject, path)
        for name, value in _mapping(limits, f"{path}.{subject}").items():
            if name not in names:
                raise InvalidInput(f"{path}.{subject}.{name}: unknown key (known here: {', '.join(names)})")
            deciding[f"{path}.{subject}.{name}"] = checked(f"{path}.{subject}.{name}", value)


def _mapping(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{path}: expected keys below it, found {shown(value)}")
    return value


class _Tree:
    """YAML nodes as dicts, lists and text; what grows beyond any settings is refused before it has grown."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._nodes = 0

    def of(self, node: Any, path: str = "") -> Any:
        """Return the content of a node of PyYAML; null is None, every other scalar its text."""
        self._nodes += 1
        if self._nodes > _MAX_NODES or path.count(".") > _MAX_DEPTH:
            raise settings_error(f"{self._source}: {path.strip('.')}: nested too deeply, or too long")
        if node.id == "scalar":
            return None if node.tag == "tag:yaml.org,2002:null" else node.value
        if node.id == "sequence":
            return [self.of(each, f"{path}.") for each in node.value]
        assert node.id == "mapping", "YAML has no fourth kind of node"
        found: dict[str, Any] = {}
        for key, value in node.value:
            if key.id != "scalar":
                raise settings_error(f"{self._source}: {path.strip('.')}: a key is not plain text")
            if key.value in found:
                line = key.start_mark.line + 1
                raise settings_error(f"{self._source}: {path}{key.value} is there twice (line {line})")
            found[key.value] = self.of(value, f"{path}{key.value}.")
        return found


def _texts(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _texts(item, f"{path}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, float) and not path.endswith("restricted"):
        return _shortest(value, path)
    if isinstance(value, list | tuple):
        return [_texts(item, path) for item in value]
    return limit_text(value, path)


def _shortest(value: float, path: str) -> str:
    """Return a float as decimal text: the shortest that is this float, as Python shows it."""
    if not math.isfinite(value):
        raise settings_error(f"{path}: {value} is no number that can be a limit")
    return f"{Decimal(repr(value)):f}"
