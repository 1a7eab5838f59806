"""Signatures: HMAC with SHA-256 (RFC 2104), and the secrets for them."""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from typing import Any, Final

from .seals import Seal

__all__ = ["ENVIRONMENT", "Secrets", "Signature", "secrets_of", "secrets_of_environment"]

#: The environment variable with the secrets of codecs that must sign: one, or several with commas
#: between them.
ENVIRONMENT: Final = "MEMO_SECRET"

_SHORTEST: Final = 16


class Secrets(tuple[bytes, ...]):
    """Secrets, the first of which signs; they are compared, and never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} secret{'s' if len(self) > 1 else ''}>"


class Signature(Seal):
    """HMAC-SHA256: the first secret signs, all verify."""

    size = 32

    def __init__(self, secrets: Secrets) -> None:
        self._keys = tuple(hmac.new(secret, digestmod="sha256") for secret in secrets)

    def mark(self, data: bytes) -> bytes:
        """The signature of `data`, with the first secret."""
        started = self._keys[0].copy()
        started.update(data)
        return started.digest()

    def holds(self, data: bytes, mark: bytes) -> bool:
        """Whether `mark` signs `data`, with any secret; compared in constant time."""
        for key in self._keys:
            started = key.copy()
            started.update(data)
            if hmac.compare_digest(started.digest(), mark):
                return True
        return False


def secrets_of(secrets: Any, option: str = "secrets") -> Secrets:
    """Check secrets as a user writes them in `option`: a str or bytes, or a sequence of them.

    Raises:
        TypeError, ValueError: something else, none, or one that is too short; no message shows one.
    """
    several = [secrets] if isinstance(secrets, str | bytes) else secrets
    if not isinstance(several, Sequence):
        raise TypeError(
            f"{option}=<{type(secrets).__name__}>: takes a str, bytes, or a sequence of them, "
            "the first of which signs"
        )
    checked = []
    for secret in several:
        if not isinstance(secret, str | bytes):
            raise TypeError(f"{option}=[<{type(secret).__name__}>, ...]: each is a str or bytes")
        data = secret.encode() if isinstance(secret, str) else secret
        if len(data) < _SHORTEST:
            raise ValueError(
                f"{option}: one has {len(data)} bytes; takes {_SHORTEST} or more, and 32 random "
                "ones are right: python -c 'import secrets; print(secrets.token_hex(32))'"
            )
        checked.append(data)
    if not checked:
        raise ValueError(f"{option}: none given; takes one or more, the first of which signs")
    return Secrets(checked)


def secrets_of_environment(serializer: str) -> Secrets:
    """The secrets of `MEMO_SECRET`.

    Raises:
        ValueError: there are none.
    """
    several = [secret.strip() for secret in os.environ.get(ENVIRONMENT, "").split(",")]
    if not any(several):
        raise ValueError(
            f"serializer={serializer}: needs a secret, since nothing unsigned is ever unpickled; "
            f"give Codec(..., secrets=...), or set {ENVIRONMENT}"
        )
    return secrets_of(several, ENVIRONMENT)
