"""TLS in front of a server that has none of its own, with certificates made for one test run."""

import asyncio
import atexit
import contextlib
import functools
import shutil
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Self

__all__ = ["TlsFront", "certificates"]

_NAMES = "IP:127.0.0.1,DNS:localhost"


@functools.cache
def certificates() -> Path:
    """A directory with `ca.pem` and, signed by that for 127.0.0.1, `server.pem` with its key."""
    where = Path(tempfile.mkdtemp(prefix="memo-certificates-"))
    atexit.register(shutil.rmtree, where, ignore_errors=True)
    new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    commands = (
        [*new.split(), "-subj", "/CN=memo tests", "-keyout", "ca.key", "-out", "ca.pem"],
        [*new.split(), "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.crt"],
    )
    commands[0].extend(["-addext", "keyUsage=critical,keyCertSign,cRLSign"])
    commands[1].extend(["-CA", "ca.pem", "-CAkey", "ca.key"])
    for extension in (
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"subjectAltName={_NAMES}",
    ):
        commands[1].extend(["-addext", extension])
    for command in commands:
        done = subprocess.run(
            ["openssl", *command], cwd=where, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"openssl {' '.join(command)} failed:\n{done.stderr}")
    both = (where / "server.key").read_text() + (where / "server.crt").read_text()
    (where / "server.pem").write_text(both)
    return where


class TlsFront:
    """Takes TLS connections on a port of 127.0.0.1 and passes them on to `target` as they are."""

    host = "127.0.0.1"

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        self.ca = certificates() / "ca.pem"
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificates() / "server.pem")
        self._ready = threading.Event()
        self._loop: Any = None
        self._over: Any = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the TLS front did not come up within 10 s")

    def close(self) -> None:
        """Close all connections and end."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def connected(reader: Any, writer: Any) -> None:
            task = asyncio.create_task(self._pass_on(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, self.host, 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(self, reader: Any, writer: Any) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(*self.target)
        directions = [
            asyncio.ensure_future(_pump(reader, behind_writer)),
            asyncio.ensure_future(_pump(behind_reader, writer)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            for one in (writer, behind_writer):
                one.transport.abort()
            await asyncio.gather(*directions, return_exceptions=True)


async def _pump(reader: Any, writer: Any) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
