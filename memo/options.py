"""The options of one cache, checked where they are written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from .backends.memory import check_bound
from .backends.resolve import adopt
from .configuration import default_backend, defaults, warn_once
from .entry import ABSENT, FOREVER
from .errors import shown
from .eviction import DEFAULT, kind_of
from .freshness import Duration, Freshness
from .policy import Policy
from .records import record

__all__ = ["DEFAULT_MAXSIZE", "InForce", "Options"]

DEFAULT_MAXSIZE: Final = 1024


@record(frozen=True, kw_only=True)
class Options:
    """What a cache is to be like; see `memo.cached` for what each option means."""

    backend: Any
    maxsize: float | None
    maxsize_written: bool
    eviction: str
    getsizeof: Callable[[Any], float] | None
    policy: Policy | None
    should_cache: Callable[[Any], object] | None
    serializer: Any
    copy: Callable[[Any], Any] | None
    single_flight: bool
    timer: Callable[[], float] | None
    lifetime: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        *,
        ttl: Duration | Callable[[Any], Duration | None] | None = None,
        maxsize: float | None = ABSENT,
        backend: Any = None,
        policy: Policy | None = None,
        eviction: str = ABSENT,
        getsizeof: Callable[[Any], float] | None = None,
        stale_while_revalidate: Duration = 0,
        stale_if_error: Duration | Mapping[type[BaseException], Duration] = 0,
        retry_after: Duration = 0,
        soft_timeout: Duration | None = None,
        hard_timeout: Duration | None = None,
        refresh_after: float | None = None,
        jitter: float = 0,
        should_cache: Callable[[Any], object] | None = None,
        cache_exceptions: Mapping[type[BaseException], Duration] | None = None,
        serializer: Any = None,
        copy: Callable[[Any], Any] | None = None,
        single_flight: bool = True,
        timer: Callable[[], float] | None = None,
    ) -> Options:
        """Check the options as a user writes them.

        Raises:
            TypeError, ValueError: an option that cannot be; the message names it, its value, and
                what is allowed.
        """
        bounded_by = {"maxsize": maxsize, "eviction": eviction, "getsizeof": getsizeof}
        written = [
            name
            for name, value in bounded_by.items()
            if value is not ABSENT and (value is not None or name == "maxsize")
        ]
        bound = DEFAULT_MAXSIZE if maxsize is ABSENT else maxsize
        order = DEFAULT if eviction is ABSENT else eviction
        check_bound(bound, order, getsizeof)
        if order != "none":
            kind_of(order)  # imports it, so that no call has to
        if backend is not None:
            backend = adopt(backend)
            if written and not (written == ["maxsize"] and maxsize == 0):
                raise ValueError(
                    f"{written[0]}={shown(bounded_by[written[0]])} beside backend={shown(backend)}:"
                    " the backend bounds itself; give the bound to it, or leave backend out"
                )
        if policy is not None and not isinstance(policy, Policy):
            raise TypeError(f"policy={shown(policy)}: takes a memo.Policy")
        for choice in policy.fallbacks() if policy is not None else ():
            adopt(choice.backend)
        for name, value in (("should_cache", should_cache), ("copy", copy), ("timer", timer)):
            if value is not None and not callable(value):
                raise TypeError(f"{name}={shown(value)}: takes a callable")
        if not isinstance(single_flight, bool):
            raise TypeError(f"single_flight={shown(single_flight)}: takes True or False")

        _check_serializer(serializer, backend)
        lifetime: dict[str, Any] = {
            "ttl": ttl,
            "stale_while_revalidate": stale_while_revalidate,
            "stale_if_error": stale_if_error,
            "retry_after": retry_after,
            "soft_timeout": soft_timeout,
            "hard_timeout": hard_timeout,
            "refresh_after": refresh_after,
            "jitter": jitter,
            "cache_exceptions": cache_exceptions,
        }
        Freshness.of(**lifetime, keep_stale=_keep_stale(policy))
        return cls(
            backend=backend,
            maxsize=bound,
            maxsize_written=bool(written),
            eviction=order,
            getsizeof=getsizeof,
            policy=policy,
            should_cache=should_cache,
            serializer=serializer,
            copy=copy,
            single_flight=single_flight,
            timer=timer,
            lifetime=lifetime,
        )

    def in_force(self, name: str, *, private: bool = False) -> InForce:
        """These options, with what is configured at present where they leave something open.

        `private`: in a memory of the cache's own, whatever backend is configured.
        """
        policy = self.policy or defaults.policy or Policy.absorb()
        store = self.backend
        timer = self.timer
        if store is None and not private:
            store = default_backend()
            if store is not None and self.maxsize_written and self.maxsize != 0:
                warn_once(f"{name}: the configured backend bounds itself; maxsize is ignored")
        if self.backend is None:
            timer = timer or defaults.timer
        timer = timer or getattr(store, "timer", None) or time.monotonic
        freshness = Freshness.of(**self.lifetime, keep_stale=_keep_stale(policy))
        return InForce(policy=policy, freshness=freshness, store=store, timer=timer)


def _keep_stale(policy: Policy | None) -> float:
    """Seconds past expiry that an entry is kept for the policy's sake."""
    return FOREVER if policy is not None and policy.may_serve_stale("expired") else 0.0


def _check_serializer(serializer: Any, backend: Any) -> None:
    if serializer is None:
        return
    from .serializers import codec_of

    codec_of(serializer)
    if backend is not None and not hasattr(backend, "using"):
        raise ValueError(
            f"serializer={shown(serializer)} beside backend={shown(backend)}: it keeps the values "
            "themselves, and serializes none"
        )


@record(frozen=True, kw_only=True)
class InForce:
    """What of a cache's options depends on how the program is configured.

    `store` is None for a private memory.
    """

    policy: Policy
    freshness: Freshness
    store: Any
    timer: Callable[[], float]
