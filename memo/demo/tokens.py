"""Signed tokens: who may ask, and until when (HMAC-SHA-256 over a JSON payload)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass

__all__ = ["InvalidTokenError", "Token", "sign", "verify"]


class InvalidTokenError(Exception):
    """A token that is not accepted, and why: "malformed", "signature" or "expired"."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a client keeps of an answer of the token endpoint.

    Attributes:
        user: whom it was issued to.
        access_token: the signed text, for the `Authorization` header.
        expires_at: Unix time from which the server refuses it.
    """

    user: str
    access_token: str
    expires_at: float

    @property
    def expires_in(self) -> float:
        """Seconds for which the server still accepts it; negative afterwards."""
        return self.expires_at - time.time()


def sign(user: str, expires_at: float, secret: bytes) -> str:
    """A token for `user`, good until `expires_at` (Unix time)."""
    payload = json.dumps({"sub": user, "exp": expires_at}, separators=(",", ":")).encode()
    return f"{_text(payload)}.{_text(_signature(payload, secret))}"


def verify(token: str, secret: bytes, now: float) -> str:
    """The user that `token` was issued to.

    Raises:
        InvalidTokenError: it is malformed, not signed with `secret`, or expired at `now`.
    """
    try:
        payload, signature = (_bytes(part) for part in token.split("."))
    except ValueError:
        raise InvalidTokenError("malformed") from None
    if not hmac.compare_digest(signature, _signature(payload, secret)):
        raise InvalidTokenError("signature")
    claims = json.loads(payload)
    if now >= claims["exp"]:
        raise InvalidTokenError("expired")
    return str(claims["sub"])


def _signature(payload: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, payload, hashlib.sha256)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
