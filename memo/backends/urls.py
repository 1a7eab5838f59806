"""URLs of backends, taken apart: `scheme://user:password@host:port,host/path?option=value`.

Several hosts are separated by commas, an IPv6 address is in brackets, and what has a meaning in a
URL (RFC 3986) is percent-encoded where it is meant as it stands; a `+` is a `+`. Errors show the
URL without passwords: neither that of the user, nor those among the options.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import unquote, unquote_to_bytes

from ..errors import shown, text_of
from ..freshness import seconds

__all__ = ["Url", "hidden", "parts"]

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>\d{1,5}))?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_WHOLE: Final = re.compile(r"[+-]?\d+", re.ASCII)
_HIGHEST_PORT: Final = 65_535

#: Options with one of these in their name are not shown.
_SECRET: Final = re.compile(r"pass|pwd|secret|token|credential|auth", re.IGNORECASE)

_BOOLS: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True, repr=False)
class Url:
    """The parts of a backend's URL, with percent-encoding undone.

    Attributes:
        scheme: in lower case, without `://`.
        hosts: host and port of each; None where there is no port.
        path: all after the hosts, with its leading `/`.
        username: None where there is none, or an empty one.
        password: None where there is none.
        options: what the query says, converted.
        hidden: the URL as it was written, fit to be shown: passwords are `***`.
    """

    scheme: str
    hosts: tuple[tuple[str, int | None], ...]
    path: str
    username: str | None
    password: str | None
    options: dict[str, Any]
    hidden: str

    def __repr__(self) -> str:
        return f"<Url {self.hidden}>"


def parts(url: str, allowed: Mapping[str, Callable[[Any], Any]]) -> Url:
    """Take `url` apart.

    `allowed` has a converter for each option the query may have: `str`, `int`, `float`, `bool`
    (true, false, 1 or 0), `memo.freshness.seconds` (a number of seconds, or text such as "5m"), or
    any callable of the text; the ValueError of one should begin with "takes".

    Raises:
        ValueError: a part that cannot be; the message has the URL without passwords, the part,
            and what is allowed.
    """
    fit = hidden(url, allowed)
    scheme, login, place, path, query = _split(url)
    if _CONTROL.search(url):
        _refuse(fit, "write line breaks and other control characters percent-encoded")
    if "://" not in url or not _SCHEME.fullmatch(scheme):
        _refuse(fit, "takes a URL such as 'redis://localhost:6379/0'")
    if "@" in path + query and ":" in f"{login or ''}{place}":
        # Part of a password, most likely, that must not come up as a path or an option.
        _refuse(fit, "behind the hosts write @ as %40; in a password / is %2F and ? is %3F")
    username, colon, password = (login or "").partition(":")
    return Url(
        scheme=scheme.lower(),
        hosts=tuple(_host(fit, text) for text in _list(place)),
        path=_decoded(fit, "path", path),
        username=_decoded(fit, "user name", username) or None,
        password=_decoded(fit, "password", password) if colon else None,
        options=_options(fit, query, allowed),
        hidden=fit,
    )


def hidden(url: str, known: Mapping[str, Any] | None = None) -> str:
    """`url`, right or wrong, fit to be shown: what is or could be a password is `***`.

    Options that are not in `known` could be misspelt ones, and are not shown either.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        scheme, separator, rest = "", "", url
    user, colon, secret = rest.partition(":")
    login = ""
    if colon and "@" in secret:
        secret, at, rest = secret.rpartition("@")
        login = f"{user}:***{at}"
        if "?" in user + secret:
            return f"{scheme}{separator}{login}..."  # no telling what is what
    place, mark, query = rest.partition("?")
    hosts, slash, path = place.partition("/")
    if separator and any(_port(host) is None for host in hosts.split(",")):
        return f"{scheme}{separator}{login}{hosts.partition(':')[0]}:***"
    options = "&".join(_shown_options(query.split("&"), known))
    return f"{scheme}{separator}{login}{hosts}{slash}{path}{mark}{options}"


def _shown_options(options: list[str], known: Mapping[str, Any] | None) -> Iterator[str]:
    after_secret = False
    for option in options:
        raw, equals, _ = option.partition("=")
        name = unquote(raw)
        secret = _SECRET.search(name) is not None
        if known is not None and name not in known:
            yield f"{raw}=***" if equals and not after_secret else "***" if option else ""
        elif known is None and after_secret:
            yield "***"
        else:
            yield f"{raw}=***" if equals and secret else option
        after_secret |= secret  # what follows may belong to it still


def _split(url: str) -> tuple[str, str | None, str, str, str]:
    """Scheme, user and password (None: none), hosts, path from `/` on, query from `?` on."""
    scheme, _, rest = url.partition("://")
    rest, mark, query = rest.partition("?")
    place, slash, path = rest.partition("/")
    login, at, hosts = place.rpartition("@")
    return scheme, login if at else None, hosts, slash + path, mark + query


def _list(place: str) -> list[str]:
    return place.split(",") if place else []


def _port(host: str) -> int | None:
    """The port of `host`, 0 where there is none, None where it cannot be one."""
    found = _HOST.fullmatch(host)
    if found is None:
        return None
    port = int(found["port"] or 0)
    return port if port <= _HIGHEST_PORT and found["port"] != "0" else None


def _host(fit: str, text: str) -> tuple[str, int | None]:
    found, port = _HOST.fullmatch(text), _port(text)
    if found is None or port is None:
        _refuse(
            fit,
            f"a port is a number from 1 to {_HIGHEST_PORT}, and an IPv6 address is in brackets, "
            "as in [::1]:6379",
        )
    if found["v6"] is not None:
        host = _decoded(fit, "host", found["v6"])
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            message = f"backend={fit!r}: [{host}] is no IPv6 address: {error}"
            raise ValueError(message) from error
    else:
        host = _decoded(fit, "host", found["name"])
    if not host or " " in host:
        _refuse(fit, f"{text!r} has no host; takes host, host:port or several with commas between")
    return host, port or None


def _options(fit: str, query: str, allowed: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    after_secret = False
    for item in filter(None, query[1:].split("&")):
        raw_name, equals, raw_value = item.partition("=")
        name = _decoded(fit, "query", raw_name)
        if name not in allowed:
            known = f"takes {', '.join(allowed)}" if allowed else "takes no options"
            which = f"the option {shown(name)}" if equals and not after_secret else "an option"
            _refuse(fit, f"{which} is not known; {known}")
        after_secret |= _SECRET.search(name) is not None
        if name in options:
            _refuse(fit, f"the option {name} is given twice")
        if not equals:
            _refuse(fit, f"the option {name} has no value; write {name}=...")
        value = _decoded(fit, name, raw_value)
        options[name] = _converted(fit, name, value, allowed[name])
    return options


def _converted(fit: str, name: str, value: str, convert: Callable[[Any], Any]) -> Any:
    secret = _SECRET.search(name)
    try:
        return _value(name, value, convert)
    except Exception as error:
        why = "is not allowed" if secret else text_of(error).removeprefix(f"{name}={value!r}: ")
        message = f"backend={fit!r}: {name}={'***' if secret else shown(value)}: {why}"
        raise ValueError(message) from (None if secret else error)


def _value(name: str, value: str, convert: Callable[..., Any]) -> Any:
    if convert is bool:
        if value.lower() not in _BOOLS:
            raise ValueError("takes true, false, 1 or 0")
        return _BOOLS[value.lower()]
    if convert is int:
        if not _WHOLE.fullmatch(value):
            raise ValueError("takes a whole number")
        return int(value)
    if convert is not float and convert is not seconds:
        return convert(value)
    number = _number(value)
    if convert is float:
        if number is None:
            raise ValueError("takes a number")
        return number
    if number is not None and number < 0:
        raise ValueError("must not be negative")
    return seconds(name, value if number is None else number)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _decoded(fit: str, part: str, text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        # Without the cause, which shows what it could not decode.
        message = f"backend={fit!r}: the {part} is no UTF-8 when its percent-encoding is undone"
        raise ValueError(message) from None


def _refuse(fit: str, why: str) -> NoReturn:
    raise ValueError(f"backend={fit!r}: {why}")
