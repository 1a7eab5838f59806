"""Real memcached servers for tests: the program that the system has, on a port of 127.0.0.1."""

import functools
import os
import shutil
import socket

from servers.process import Process
from servers.server import Server

__all__ = ["Memcached", "program", "shared_memcached"]


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


class Memcached(Server):
    """A memcached server.

    Args:
        unix: listen on a unix socket instead of a port.
        options: of its command line, as `"-m", "2"`.
    """

    kind = "memcached"

    def __init__(self, *options: str, unix: bool = False) -> None:
        self._options = options
        super().__init__(unix=unix)

    @property
    def where(self) -> str:
        """Host and port, or the path of the socket."""
        return self.path or f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"memcached://{self.where}"

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

    def _connected(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET)
        try:
            made.settimeout(10)
            made.connect(self.address)
        except BaseException:
            made.close()
            raise
        return made

    def _command(self) -> list[str]:
        command = [program(), "-t", "1"]
        command += ["-s", self.path] if self.path else ["-l", self.host, "-p", str(self.port)]
        if os.geteuid() == 0:
            command += ["-u", "root"]
        return [*command, *self._options]

    def _is_ready(self, process: Process) -> bool:
        return self.stats()["pid"] == str(process.pid)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.where}>"


@functools.cache
def shared_memcached() -> Memcached:
    """One server for all tests of this run that do it no harm: each uses its own namespace."""
    return Memcached("-m", "256")
