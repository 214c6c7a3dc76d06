"""The Ed25519 key files of those who sign.

Operators sign their commands, the guard its own, the notary its checkpoints, a release its models.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.codec.signatures import (
    Trusted,
    key_id,
    new_private_key,
    private_pem,
    public_pem,
    read_private_key,
    read_public_key,
)
from stream.config import Settings
from stream.errors import ConfigError


class KeyPair(NamedTuple):
    """One signer's kind of pair, in the words its files and faults are named with."""

    stem: str
    private: str
    public: str
    make_fix: str
    public_fix: str

    def make(self, folder: Path) -> tuple[Path, Path, str]:
        """Write a new pair; the private file is readable by its owner only. Never overwrites."""
        private = new_private_key()
        private_file, public_file = folder / f"{self.stem}.key", folder / f"{self.stem}.pub"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            private_file.touch(mode=0o600, exist_ok=False)
            private_file.write_bytes(private_pem(private))
            public_file.write_bytes(public_pem(private.public_key()))
        except OSError as error:
            raise ConfigError(f"{folder}: {error}", fix="name a new, writable folder") from None
        return private_file, public_file, key_id(private.public_key())

    def read_private(self, file: Path) -> Ed25519PrivateKey:
        """The signing key of a file; ConfigError when there is none."""
        try:
            return read_private_key(file.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.private} {file}: {error}", fix=self.make_fix) from None

    def read_public(self, files: Iterable[Path]) -> Trusted:
        """The public keys in the files, by key id; ConfigError names a file that holds none."""
        keys = []
        for file in files:
            try:
                keys.append(read_public_key(file.read_bytes()))
            except (OSError, ValueError) as error:
                raise ConfigError(f"{self.public} {file}: {error}", fix=self.public_fix) from None
        return {key_id(key): key for key in keys}


OPERATOR = KeyPair(
    "control",
    "signing key",
    "control key",
    "make a pair: tenminute control keygen DIR",
    "make a pair: tenminute control keygen DIR",
)
GUARD = KeyPair(
    "guard",
    "guard's key",
    "guard key",
    "make a pair: tenminute control keygen DIR",
    "name the guard's public key, in `guard_key_files`",
)
NOTARY = KeyPair(
    "notary",
    "notary's key",
    "public key",
    "make a pair: tenminute audit keygen DIR",
    "give the notary's public key",
)
RELEASE = KeyPair(
    "release",
    "release key",
    "model key",
    "make a pair: tenminute model keygen DIR",
    "name the public half of a release key, in `model_key_files`",
)


def command_keys(settings: Settings) -> tuple[Trusted, frozenset[str]]:
    """The keys whose commands count, and the ids of those that are a guard's alone."""
    operators = OPERATOR.read_public(settings.control_key_files)
    guards = GUARD.read_public(settings.guard_key_files)
    return {**guards, **operators}, frozenset(guards.keys() - operators.keys())
