"""The text of a key on a store that other processes see.

A key is written out as bytes (`memo.forms`), no two keys alike; what goes to the server is their
digest (BLAKE2b, RFC 7693, 160 bits), behind the namespace and the scope. The text depends on values
alone: it is the same in every process, on every machine, after every restart. Neither `repr` nor
`hash` has a part in it.
"""

from __future__ import annotations

import functools
import re
from hashlib import blake2b
from typing import Any, Final

from .errors import OperationFailed, text_of
from .forms import FORMS, base_of, form, plain_tuple
from .places import module_identity, without_form

__all__ = ["key_text", "module_identity", "namespace_text", "scope_text"]

_DIGEST: Final = blake2b(digest_size=20, person=b"memo")

#: What stands for itself in a namespace or a scope. No colon, which ends each; no tilde, which only
#: a shortened one has; nothing that a server's patterns know (`*?[]\\^`).
_NOT_ITSELF: Final = re.compile(rb"[^A-Za-z0-9_.,;=@+/$!&()<>#|-]")

#: At most so many characters of a text are the namespace, and the scope.
_LONGEST_NAMESPACE: Final = 60
_LONGEST_SCOPE: Final = 90

#: A scope, and the arguments.
_PAIR: Final = 2


def key_text(namespace: str, key: Any) -> str:
    """The text of `key`: printable ASCII without spaces, at most 200 characters.

    `namespace:scope:digest` for the key `(scope, arguments)` with a str as scope, and
    `namespace::digest` for any other. Equal keys have the same text, others have not.

    Raises:
        OperationFailed: operation "key"; a part of the key has no stable form. What a user's
            `__cache_key__()` raised is its cause.
    """
    try:
        pair = key if type(key) is tuple else plain_tuple(key)
        if pair is not None and len(pair) == _PAIR:
            scope, arguments = pair
            if type(scope) is str:
                return _scope(namespace, scope) + _digest(FORMS[type(arguments)](arguments, 0))
            if isinstance(scope, str) and base_of(type(scope)) is str:
                return _scope(namespace, str.__str__(scope)) + _digest(form(arguments, 0))
        return f"{namespace_text(namespace)}:{_digest(form(key, 0))}"
    except OperationFailed:
        raise
    except RecursionError as error:
        raise without_form(key, ": it is nested too deeply, or contains itself") from error
    except Exception as error:
        raise without_form(key, f": {type(error).__name__}: {text_of(error)}") from error


def scope_text(namespace: str, scope: str) -> str:
    """What the texts of the keys of this scope begin with, and no other key's does."""
    return _scope(namespace, scope)


def namespace_text(namespace: str) -> str:
    """What the texts of all keys in this namespace begin with, and no other key's does."""
    return f"{_part(namespace, _LONGEST_NAMESPACE)}:"


def _digest(written: bytes) -> str:
    digest = _DIGEST.copy()
    digest.update(written)
    return digest.hexdigest()


@functools.lru_cache(1024)
def _scope(namespace: str, scope: str) -> str:
    # An empty scope is a scope, and no lack of one.
    return f"{namespace_text(namespace)}{_part(scope, _LONGEST_SCOPE) or '%'}:"


def _part(text: str, longest: int) -> str:
    """`text` such that it can stand between colons; no two have the same."""
    raw = text.encode("utf-8", "surrogatepass")
    safe = _NOT_ITSELF.sub(lambda found: b"%%%02X" % found[0][0], raw).decode("ascii")
    if len(safe) <= longest:
        return safe
    digest = blake2b(raw, digest_size=16, person=b"memo").hexdigest()
    return f"{digest}~{safe[len(digest) + 1 - longest :]}"
