"""Filling a cache ahead of traffic."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any

from .errors import shown
from .stats import Prewarmed

__all__ = ["Prewarmed", "Progress", "prewarm", "prewarm_async"]

_log = logging.getLogger("memo")

Progress = bool | Callable[[int, int | None], object]


def prewarm(
    function: Any, calls: Iterable[tuple[Any, ...]], *, workers: int, progress: Progress
) -> Prewarmed:
    """Make `calls` of a cached function in `workers` threads, where they are not fresh."""
    pending, total = _checked(function, calls, workers)
    taking = threading.Lock()
    counts = {"loaded": 0, "fresh": 0, "failed": 0}

    stopped = False

    def work(step: Callable[[int], object]) -> None:
        while True:
            with taking:
                call = None if stopped else next(pending, None)
            if call is None:
                return
            try:
                if function.lookup(*call).status == "fresh":
                    done = "fresh"
                else:
                    function.refresh(*call)
                    done = "loaded"
            except Exception:
                _log.warning("prewarming %s%s failed", function.__name__, call, exc_info=True)
                done = "failed"
            with taking:
                counts[done] += 1
                total_done = sum(counts.values())
            step(total_done)

    from concurrent.futures import ThreadPoolExecutor

    with (
        _shown(function.__name__, total, progress) as step,
        ThreadPoolExecutor(workers, thread_name_prefix="memo-prewarm") as pool,
    ):
        futures = [pool.submit(work, step) for _ in range(workers)]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stopped = True  # who works ends with the call at hand
            raise
    return Prewarmed(**counts)


async def prewarm_async(
    function: Any, calls: Iterable[tuple[Any, ...]], *, workers: int, progress: Progress
) -> Prewarmed:
    """Make `calls` of a cached coroutine function in `workers` tasks, where they are not fresh."""
    pending, total = _checked(function, calls, workers)
    counts = {"loaded": 0, "fresh": 0, "failed": 0}

    async def work(step: Callable[[int], object]) -> None:
        for call in pending:
            try:
                if (await function.lookup(*call)).status == "fresh":
                    done = "fresh"
                else:
                    await function.refresh(*call)
                    done = "loaded"
            except Exception:
                _log.warning("prewarming %s%s failed", function.__name__, call, exc_info=True)
                done = "failed"
            counts[done] += 1
            step(sum(counts.values()))

    with _shown(function.__name__, total, progress) as step:
        tasks = [asyncio.create_task(work(step)) for _ in range(workers)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
    return Prewarmed(**counts)


def _checked(
    function: Any, calls: Iterable[Any], workers: Any
) -> tuple[Iterator[tuple[Any, ...]], int | None]:
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers={shown(workers)}: takes a whole number of at least 1")
    total = len(calls) if isinstance(calls, Sized) else None

    def checked() -> Iterator[tuple[Any, ...]]:
        for call in calls:
            if not isinstance(call, tuple):
                raise TypeError(
                    f"{function.__name__}.prewarm: calls holds {shown(call)}; takes tuples of "
                    "positional arguments, as in [(1,), (2,)]"
                )
            yield call

    return checked(), total


@contextmanager
def _shown(name: str, total: int | None, progress: Progress) -> Iterator[Callable[[int], object]]:
    """A function to call with the number done so far."""
    if progress is False:
        yield lambda _: None
    elif callable(progress):
        yield lambda done: progress(done, total)
    elif sys.stderr.isatty() and (bar := _rich_bar(name, total)) is not None:
        with bar as step:
            yield step
    else:
        every = max(1, (total or 1000) // 10)

        def line(done: int) -> None:
            if done % every == 0 or done == total:
                sys.stderr.write(f"{name}: {done}{f'/{total}' if total else ''}\n")

        yield line


def _rich_bar(name: str, total: int | None) -> Any:
    try:
        from rich.console import Console
        from rich.progress import Progress as Bar
    except ImportError:
        return None

    @contextmanager
    def bar() -> Iterator[Callable[[int], object]]:
        with Bar(console=Console(stderr=True)) as shown_bar:
            task = shown_bar.add_task(name, total=total)
            yield lambda done: shown_bar.update(task, completed=done)

    return bar()
