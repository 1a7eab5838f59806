"""A bad network, on command: a TCP proxy between clients and a server."""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self

from servers.process import free_port

__all__ = ["Proxy"]

#: SO_LINGER such that closing sends a reset (RST).
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class _Fault:
    """What is done to the connections, and with what figures."""

    kind: str = "none"
    seconds: float = 0.0
    size: int = 0
    rate: float = 1.0


class Proxy:
    """Passes connections to a port of 127.0.0.1 on to `target`, well or badly.

    Begins well. Each of the other ways lasts until the next is asked for, holds for connections
    that are open as for those to come, and is in force when the method that asks for it returns.

    Attributes:
        target: host and port of the server, or the path of its socket; may be exchanged.
        host, port: where clients find the proxy.
        accepted: how many connections there have been.
        requested, answered: how many bytes have come from clients, and from the server.
    """

    host = "127.0.0.1"

    def __init__(self, target: tuple[str, int] | str) -> None:
        self.target = target
        self.port = free_port()
        self.accepted = self.requested = self.answered = 0
        self.links: set[_Link] = set()
        self.fault = _Fault()
        self.random = random.Random(0)
        self.changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._change(_Fault()))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        if self._thread.is_alive():
            raise TimeoutError("the proxy does not end")

    # --- ways to be ---

    def normal(self) -> None:
        """Pass everything on at once, also what was held back; listen again."""
        self._do(self._change(_Fault()))

    def delay(self, seconds: float) -> None:
        """Pass each chunk of an answer on so many seconds after the one before it."""
        self._do(self._change(_Fault("delay", seconds=seconds)))

    def drip(self, seconds: float) -> None:
        """Pass answers on byte by byte, one every so many seconds."""
        self._do(self._change(_Fault("drip", seconds=seconds)))

    def hang(self) -> None:
        """Accept connections, and hold back all that comes from either side (half-open)."""
        self._do(self._change(_Fault("hang")))

    def swallow(self) -> None:
        """Let requests through, and let answers, and the server's goodbye, vanish (half-open)."""
        self._do(self._change(_Fault("swallow")))

    def reset(self) -> None:
        """Reset (RST) the connections that are open, and each new one upon its first request."""
        self._do(self._change(_Fault("reset")))

    def truncate(self, size: int) -> None:
        """Close each connection after so many bytes of its next answer."""
        self._do(self._change(_Fault("truncate", size=size)))

    def flip(self, *, seed: int = 0, rate: float = 1.0) -> None:
        """Turn one bit over in each chunk of an answer, or in this share of them."""
        self.random = random.Random(seed)
        self._do(self._change(_Fault("flip", rate=rate)))

    def refuse(self) -> None:
        """Close the listening socket and all connections, as a server that goes down does."""
        self._do(self._change(_Fault("refuse")))

    # --- what can be seen ---

    @property
    def connections(self) -> int:
        """How many clients have a connection open now."""
        return len(self.links)

    @property
    def upstream(self) -> int:
        """How many of these have one to the server behind them."""
        servers = [link.server for link in list(self.links)]
        return sum(server is not None and not server.is_closing() for server in servers)

    def wait_until(self, what: str, true: Callable[["Proxy"], Any], seconds: float = 10.0) -> None:
        """Wait until `true(proxy)`, which is asked whenever something has happened.

        Raises:
            TimeoutError: it did not come true within `seconds`.
        """
        with self._news:
            if not self._news.wait_for(lambda: true(self), seconds):
                raise TimeoutError(f"{what}: not within {seconds} s; {self!r}")

    def wait_for_connections(self, count: int, seconds: float = 10.0) -> None:
        """Wait until exactly so many connections are open."""
        self.wait_until(f"{count} connections", lambda proxy: proxy.connections == count, seconds)

    def __repr__(self) -> str:
        return (
            f"<Proxy {self.fault.kind}: {self.connections} of {self.accepted} connections open, "
            f"{self.requested} bytes requested, {self.answered} answered>"
        )

    # --- in the proxy's thread ---

    def tell(self) -> None:
        """Wake those who wait for something to happen."""
        with self._news:
            self._news.notify_all()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _change(self, fault: _Fault) -> None:
        self.fault = fault
        self.changed.set()
        self.changed = asyncio.Event()
        if fault.kind == "refuse":
            await self._deaf()
        if fault.kind in {"reset", "refuse"}:
            for link in list(self.links):
                link.close(reset=fault.kind == "reset")
        if fault.kind != "refuse" and self._server is None:
            self._server = await self._loop.create_server(
                lambda: _Client(self), self.host, self.port, backlog=1024
            )

    async def _deaf(self) -> None:
        """Listen no more; what is being accepted becomes a link first, or nobody would close it."""
        if self._server is not None:
            server, self._server = self._server, None
            for listening in server.sockets:
                self._loop.remove_reader(listening.fileno())
            for _ in range(3):
                await asyncio.sleep(0)
            server.close()

    async def _end(self) -> None:
        await self._deaf()
        for link in list(self.links):
            link.close()
            link.client.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(2):
            await asyncio.sleep(0)  # the loop closes what was aborted in its next turn


class _Link:
    """One client's connection, and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: asyncio.Transport) -> None:
        self.proxy = proxy
        self.client = client
        self.server: asyncio.Transport | None = None
        self.requests: asyncio.Queue[bytes] = asyncio.Queue()
        self.answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.task = asyncio.ensure_future(self._run())

    def close(self, *, reset: bool = False) -> None:
        """Let go of both ends; with `reset` in the hard way."""
        self.task.cancel()
        if self.server is not None:
            self.server.abort()
        if reset:
            sock: socket.socket = self.client.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.client.abort()
        else:
            self.client.close()

    async def _run(self) -> None:
        await self._unless("hang")
        loop, target = asyncio.get_running_loop(), self.proxy.target
        try:
            if isinstance(target, str):
                await loop.create_unix_connection(lambda: _Server(self), target)
            else:
                await loop.create_connection(lambda: _Server(self), *target)
        except OSError:
            self.close()
            return
        await asyncio.gather(self._pass_requests(), self._pass_answers())

    async def _pass_requests(self) -> None:
        while not self.client.is_closing():
            data = await self.requests.get()
            await self._unless("hang")
            if self.proxy.fault.kind == "reset":
                self.close(reset=True)
            elif self.server is None or self.server.is_closing():
                self.close()
            else:
                self.server.write(data)

    async def _pass_answers(self) -> None:
        while not self.client.is_closing():
            data: bytes | None = await self.answers.get()
            while data:
                data = await self._rest_of(data, self.proxy.fault)
            await self._unless("hang")
            if data is None and self.proxy.fault.kind != "swallow":
                self.close()

    async def _rest_of(self, data: bytes, fault: _Fault) -> bytes:
        """Pass on what can be passed on now, and return the rest."""
        changed, random = self.proxy.changed, self.proxy.random
        match fault.kind:
            case "hang":
                await changed.wait()
                return data
            case "delay":
                if await _before(changed, fault.seconds):
                    return data
            case "drip":
                self.client.write(data[:1])
                await _before(changed, fault.seconds)
                return data[1:]
            case "swallow":
                return b""
            case "truncate":
                self.client.write(data[: fault.size])
                self.close()
                return b""
            case "flip" if random.random() < fault.rate:
                turned = bytearray(data)
                turned[random.randrange(len(data))] ^= 1 << random.randrange(8)
                data = bytes(turned)
        self.client.write(data)
        return b""

    async def _unless(self, kind: str) -> None:
        while self.proxy.fault.kind == kind:
            await self.proxy.changed.wait()


async def _before(changed: asyncio.Event, seconds: float) -> bool:
    """Wait so long, or less if something else is asked of the proxy; whether that was so."""
    try:
        async with asyncio.timeout(seconds):
            return await changed.wait()
    except TimeoutError:
        return False


class _Client(asyncio.Protocol):
    """The end towards a client."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.link = _Link(self.proxy, transport)
        self.proxy.accepted += 1
        self.proxy.links.add(self.link)
        self.proxy.tell()

    def data_received(self, data: bytes) -> None:
        self.proxy.requested += len(data)
        self.link.requests.put_nowait(data)
        self.proxy.tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.close()
        self.proxy.links.discard(self.link)
        self.proxy.tell()


class _Server(asyncio.Protocol):
    """The end towards the server."""

    def __init__(self, link: _Link) -> None:
        self.link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.link.server = transport
        if self.link.client.is_closing():
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self.link.proxy.answered += len(data)
        self.link.answers.put_nowait(data)
        self.link.proxy.tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.answers.put_nowait(None)
        self.link.proxy.tell()
