"""Where Redis is and how to be let in, as a URL says it or a client of redis-py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NoReturn

from redis.backoff import NoBackoff
from redis.retry import Retry

from ..errors import shown
from ..freshness import seconds
from .urls import Url, parts

__all__ = ["PORT", "Settings", "options_of", "settings_from"]

Kind = Literal["single", "cluster", "sentinel"]

#: Where servers and sentinels listen unless they say otherwise.
PORT: Final = 6379
SENTINEL_PORT: Final = 26379


@dataclass(frozen=True)
class Settings:
    """What clients of redis-py are made with.

    Attributes:
        kind: whether `hosts` are the one server, some of a cluster's, or sentinels.
        hosts: host and port of each; none where there is a unix socket.
        options: the keyword arguments of a connection: login, database, TLS (`ssl_...`), path.
        tls: whether connections are encrypted.
        service: the name under which sentinels know the primary.
        sentinel_options: as `options`, for connections to sentinels.
        remap: from where a cluster says that a server is to where it can be reached.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    tls: bool = False
    service: str = ""
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    remap: Callable[[tuple[str, int]], tuple[str, int]] | None = None

    def connection_options(
        self, timeout: float | None, *, sentinel: bool = False
    ) -> dict[str, Any]:
        """The keyword arguments of a connection of which a step may take `timeout` seconds.

        Nothing is tried again, and nothing is said that need not be: no greeting (the server's own
        version of the protocol, RESP2, is as quick as any) and no name and version of the library.
        """
        return {
            **(self.sentinel_options if sentinel else self.options),
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "driver_info": None,
        }

    def __str__(self) -> str:
        where = self.options.get("path") or ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.service} of {where}" if self.service else where


def settings_from(url_or_client: Any) -> tuple[Settings, dict[str, Any]]:
    """The settings in a URL or of a client, and what the URL says to the backend itself.

    Raises:
        TypeError: it is neither.
        ValueError: a part of it that cannot be.
    """
    if isinstance(url_or_client, str):
        return _from_url(url_or_client)
    if isinstance(url_or_client, Settings):
        return url_or_client, {}
    from .redis_clients import settings_of

    return settings_of(url_or_client), {}


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("takes a whole number, 1 or more")
    return int(text)


def _timeout(text: str) -> float:
    try:
        return seconds("socket_timeout", float(text), zero=False)
    except ValueError:
        pass
    try:
        return seconds("socket_timeout", text, zero=False)
    except ValueError:
        raise ValueError("takes seconds, more than 0, or text such as '500ms'") from None


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("takes the number of a database, 0 or more")
    return int(text)


def _cert_reqs(text: str) -> str:
    if text not in {"required", "optional", "none"}:
        raise ValueError("takes required, optional or none")
    return text


#: What the query of a URL may hold for the backend itself, and what that is by default.
_OPTIONS: Final[dict[str, tuple[Callable[..., Any], Any]]] = {
    "namespace": (str, "memo"),
    "socket_timeout": (_timeout, 1.0),
    "max_connections": (_positive, 64),
}
_CONNECTION: Final[dict[str, Callable[..., Any]]] = {
    "client_name": str,
    "db": _number,
    "sentinel_password": str,
    "sentinel_username": str,
    "ssl": bool,
    "ssl_ca_certs": str,
    "ssl_cert_reqs": _cert_reqs,
    "ssl_certfile": str,
    "ssl_check_hostname": bool,
    "ssl_keyfile": str,
    "ssl_password": str,
}
_KINDS: Final[Mapping[str, Kind]] = {
    "redis": "single",
    "rediss": "single",
    "redis+unix": "single",
    "redis+cluster": "cluster",
    "redis+sentinel": "sentinel",
}


def options_of(given: Mapping[str, Any], **written: Any) -> dict[str, Any]:
    """What is `written` in code, else `given` in the URL, else the default, for each option.

    Raises:
        TypeError, ValueError: an option that cannot be; the message names it.
    """
    options = {name: default for name, (_, default) in _OPTIONS.items()}
    options |= {name: given[name] for name in options if name in given}
    options |= {name: value for name, value in written.items() if value is not None}
    timeout = options["socket_timeout"]
    options["socket_timeout"] = seconds("socket_timeout", timeout, zero=False)
    most = options["max_connections"]
    if type(most) is not int or most < 1:
        raise ValueError(f"max_connections={shown(most)}: takes a whole number, 1 or more")
    return options


def _from_url(url: str) -> tuple[Settings, dict[str, Any]]:
    found = parts(url, {name: convert for name, (convert, _) in _OPTIONS.items()} | _CONNECTION)
    if found.scheme not in _KINDS:
        _refuse(found, f"takes one of {', '.join(f'{scheme}://' for scheme in _KINDS)}")
    kind = _KINDS[found.scheme]
    own = {name: value for name, value in found.options.items() if name in _OPTIONS}
    options = {name: value for name, value in found.options.items() if name in _CONNECTION}
    tls = options.pop("ssl", False) or found.scheme == "rediss"
    if not tls and any(name.startswith("ssl_") for name in options):
        _refuse(found, "an option that begins with ssl_ is for TLS: rediss://, or ssl=true")
    sentinel = {
        name.removeprefix("sentinel_"): options.pop(name)
        for name in ("sentinel_username", "sentinel_password")
        if name in options
    }
    if sentinel and kind != "sentinel":
        _refuse(found, "the login of sentinels is for redis+sentinel://")
    sentinel |= {name: value for name, value in options.items() if name.startswith("ssl_")}
    for name in ("username", "password"):
        if getattr(found, name) is not None:
            options[name] = getattr(found, name)
    if found.scheme == "redis+unix":
        if found.hosts or found.path in {"", "/"}:
            _refuse(found, "takes the path of a socket, as in redis+unix:///run/redis.sock")
        options["path"] = found.path
        return Settings(kind, (), options), own
    service = _service_and_database(found, options)
    if kind == "cluster" and options.pop("db", 0):
        _refuse(found, "a cluster has no database but 0")
    if kind == "single" and len(found.hosts) > 1:
        _refuse(found, "takes one host; redis+cluster:// and redis+sentinel:// take several")
    port = SENTINEL_PORT if kind == "sentinel" else PORT
    hosts = tuple((host, given or port) for host, given in found.hosts or [("localhost", None)])
    return Settings(kind, hosts, options, tls, service, sentinel), own


def _service_and_database(found: Url, options: dict[str, Any]) -> str:
    """Take the path apart; the number of a database goes into `options`."""
    steps = [step for step in found.path.split("/") if step]
    service = ""
    if found.scheme == "redis+sentinel":
        if not steps:
            _refuse(found, "takes the name of a service, as in redis+sentinel://host/service/0")
        service = steps.pop(0)
    if steps:
        if "db" in options:
            _refuse(found, "the database is given twice")
        if len(steps) > 1 or not steps[0].isdecimal():
            _refuse(found, f"{'/'.join(steps)!r} is no database; takes a number, as in /0")
        options["db"] = int(steps[0])
    return service


def _refuse(found: Url, why: str) -> NoReturn:
    raise ValueError(f"backend={found.hidden!r}: {why}")
