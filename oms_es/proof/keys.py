"""Ed25519 keys of checkpoints: a private key (PEM, PKCS#8, mode 600), and beside it the verifier key of C2SP notes."""

import base64
import binascii
import os
import re
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oms_es.errors import InvalidInput, InvalidKey
from oms_es.identifiers import escaped, shown

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519 = b"\x01"  # the type of signature, in key ids and verifier keys
_NAME = re.compile(r"[^\s+]{1,100}")
_MOST = 10_000  # bytes of a key file


class VerifierKey:
    """
    A public key with its name.

    Args:
        name: without space and `+`.
        public: 32 bytes.
    """

    def __init__(self, name: str, public: bytes) -> None:
        self.name, self.public = name, public
        self.key_id = sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]

    @property
    def label(self) -> str:
        """Return name and key id."""
        return f"{self.name}+{self.key_id.hex()}"

    def __str__(self) -> str:
        return f"{self.label}+{base64.b64encode(ED25519 + self.public).decode()}"

    def accepts(self, signature: bytes, message: bytes) -> bool:
        """Return whether the signature is one of this key over the message."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - slow to import
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """
        Return the key of `<name>+<hex key id>+<base64(01 ‖ public key)>`.

        Raises:
            InvalidKey: the text is not such a key.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, content = rest.partition("+")
        try:
            raw = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not _NAME.fullmatch(name) or len(raw) != 33 or raw[:1] != ED25519:
            raise InvalidKey(f"{shown(text.strip()[:100])} is not a verifier key (name+id+base64, Ed25519)")
        found = cls(name, raw[1:])
        if str(found) != text.strip():
            raise InvalidKey(f"the key id {escaped(key_id[:20])} does not belong to the key {escaped(name)}")
        return found

    @classmethod
    def load(cls, path: Path) -> "VerifierKey":
        """
        Read a verifier key.

        Raises:
            InvalidKey: the file is not one; names it.
        """
        content = _content(path)
        try:
            return cls.parse(content.decode("utf-8"))
        except (InvalidKey, UnicodeError) as error:
            raise InvalidKey(f"{path}: {escaped(str(error))}") from None


class SigningKey:
    """
    A private key with its name.

    Args:
        private: the Ed25519 key.
        name: of the verifier key.
    """

    def __init__(self, private: "Ed25519PrivateKey", name: str) -> None:
        self._private, self._name = private, name

    @cached_property
    def verifier(self) -> VerifierKey:
        """Return the public half."""
        return VerifierKey(self._name, self._private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        return self._private.sign(message)

    @classmethod
    def load(cls, path: Path, name: str | None = None) -> "SigningKey":
        """
        Read a private key; its name comes from `FILE.pub` beside it, else it is `name`.

        Raises:
            InvalidKey: the file is not an Ed25519 key in PEM, or no name is known; names the file.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

        private: Any
        try:
            private = load_pem_private_key(_content(path), password=None)
        except (ValueError, TypeError) as error:
            raise InvalidKey(f"{path} is not a private key: {escaped(str(error))}") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise InvalidKey(f"{path} is not an Ed25519 key")
        public = public_path(path)
        if public.exists():
            known = VerifierKey.load(public)
            if known.public != private.public_key().public_bytes_raw():
                raise InvalidKey(f"{public} belongs to another private key than {path}")
            if name not in {None, known.name}:
                raise InvalidKey(f"{path} is the key {known.name}, not {shown(name)}")
            name = known.name
        if name is None:
            raise InvalidKey(f"the name of the key {path} is unknown: there is no {public}; pass --name")
        return cls(private, checked_name(name))


def public_path(path: Path) -> Path:
    """Return the path of the verifier key beside a private key."""
    return path.with_name(f"{path.name}.pub")


def checked_name(name: str) -> str:
    """
    Return the name of a key.

    Raises:
        InvalidInput: it contains a space or a `+`.
    """
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise InvalidInput(f"{shown(name)} is not the name of a key: 1 to 100 characters without space and +")
    return name


def create(name: str, path: Path) -> VerifierKey:
    """
    Create a key pair: the private key in `path`, the verifier key in `path`.pub; no file is overwritten.

    Raises:
        InvalidInput: the name cannot be used, or a file exists.
        InvalidKey: a file cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    private = Ed25519PrivateKey.generate()
    verifier = SigningKey(private, checked_name(name)).verifier
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = public_path(path)
    for each in (path, public):
        if os.path.lexists(each):
            raise InvalidInput(f"{each} exists; a key is never overwritten")
    try:
        _write_new(path, secret, 0o600)
        _write_new(public, f"{verifier}\n".encode(), 0o644)
    except OSError as error:
        raise InvalidKey(f"{error.filename or path} cannot be written: {error.strerror or error}") from None
    return verifier


def _write_new(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _content(path: Path) -> bytes:
    try:
        if not path.is_file() or path.stat().st_size > _MOST:
            raise InvalidKey(f"{path} is not a key file" if path.exists() else f"there is no key {path}")
        return path.read_bytes()
    except OSError as error:
        raise InvalidKey(f"{path} cannot be read: {error.strerror}") from None
