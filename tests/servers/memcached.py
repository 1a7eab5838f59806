"""Real memcached servers for tests: the program that the system has, on a port of 127.0.0.1."""

import atexit
import functools
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any, Self

from servers.process import Process, free_port, wait_until

__all__ = ["Memcached", "program", "shared_memcached"]

_ATTEMPTS = 5


def program() -> str:
    """Where memcached is.

    Raises:
        RuntimeError: nowhere; a test that needs it fails with how to get it.
    """
    found = shutil.which("memcached", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")
    if found is None:
        raise RuntimeError(
            "memcached is not on this machine, and these tests need it: apt-get install memcached "
            "(Debian, Ubuntu), dnf install memcached (Fedora), brew install memcached (macOS)"
        )
    return found


class Memcached:
    """A memcached server, running from here on; as a context manager it is gone at the end.

    Args:
        unix: listen on a unix socket instead of a port.
        options: of its command line, as `"-m", "2"`.
    """

    host = "127.0.0.1"

    def __init__(self, *options: str, unix: bool = False) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="memo-memcached-"))
        self.path = str(self.directory / "socket") if unix else None
        self.port = 0
        self._options = options
        self._process: Process | None = None
        self._owner = os.getpid()
        atexit.register(self.close)
        try:
            self._start_somewhere()
        except BaseException:
            self.close()
            raise

    @property
    def where(self) -> str:
        """Host and port, or the path of the socket."""
        return self.path or f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"memcached://{self.where}"

    @property
    def process(self) -> Process:
        """The running program."""
        if self._process is None:
            raise RuntimeError("the server was never started")
        return self._process

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self.process.pid

    def ask(self, command: str, data: bytes | None = None) -> bytes:
        """The server's answer to a command, on a connection of its own."""
        text = command.encode() + b"\r\n" + (b"" if data is None else data + b"\r\n")
        with self._connected() as connection:
            connection.sendall(text + b"quit\r\n")
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def stats(self, *what: str) -> dict[str, str]:
        """What the server tells about itself."""
        lines = self.ask(" ".join(("stats", *what))).decode().splitlines()
        return dict(line.split(" ", 2)[1:] for line in lines if line.startswith("STAT "))

    @property
    def connections(self) -> int:
        """How many clients it has, beside the one that asks."""
        return int(self.stats()["curr_connections"]) - 1

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()

    def stop(self) -> None:
        """Let it stand still (SIGSTOP), with its connections open."""
        self.process.stop()

    def resume(self) -> None:
        """Let it go on after `stop`."""
        self.process.resume()

    def restart(self) -> None:
        """Kill it if it runs, and start it on the same address, empty; returns when it answers."""
        self.kill()
        if self.path is not None:
            Path(self.path).unlink(missing_ok=True)
        self._start()

    def close(self) -> None:
        """End it and remove its files; nothing in a forked child."""
        if os.getpid() != self._owner:
            return
        if self._process is not None:
            self._process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connected(self) -> socket.socket:
        address: Any = self.path or (self.host, self.port)
        made = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET)
        try:
            made.settimeout(10)
            made.connect(address)
        except BaseException:
            made.close()
            raise
        return made

    def _start_somewhere(self) -> None:
        """Start on a free port, on another one where somebody was quicker to take it."""
        for _ in range(_ATTEMPTS):
            self.port = 0 if self.path else free_port()
            try:
                self._start()
            except RuntimeError:
                if "Address already in use" not in self.process.log:
                    raise
            else:
                return
        raise RuntimeError(f"{_ATTEMPTS} ports were taken by others:\n{self.process.log}")

    def _start(self) -> None:
        command = [program(), "-t", "1"]
        command += ["-s", self.path] if self.path else ["-l", self.host, "-p", str(self.port)]
        if os.geteuid() == 0:
            command += ["-u", "root"]
        self._process = process = Process([*command, *self._options], self.directory)

        def ready() -> bool:
            process.expect_running()
            return self.stats()["pid"] == str(process.pid)  # not somebody else's on the port

        try:
            wait_until("a memcached server answers", ready)
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{process.log}") from error

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.where}>"


@functools.cache
def shared_memcached() -> Memcached:
    """One server for all tests of this run that do it no harm: each uses its own namespace."""
    return Memcached("-m", "256")
