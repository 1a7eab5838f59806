"""What real servers for tests have in common: an address, a directory, and a life of their own."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Self

from servers.process import Process, free_port, wait_until

__all__ = ["Server"]

_ATTEMPTS = 5


class Server:
    """A server, running from here on; as a context manager it is gone at the end.

    A subclass sets what it needs before it calls `__init__`, and has `_command` and `_is_ready`.

    Args:
        unix: listen on a unix socket instead of a port.
    """

    host = "127.0.0.1"
    #: What messages and directories call it.
    kind: ClassVar[str]

    def __init__(self, *, unix: bool = False) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"memo-{self.kind.lower()}-"))
        self.path = str(self.directory / "socket") if unix else None
        self.port = 0
        self._process: Process | None = None
        self._owner = os.getpid()
        atexit.register(self.close)
        try:
            self._start_somewhere()
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> Any:
        """What a socket connects to."""
        return self.path or (self.host, self.port)

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

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self.process.log

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
        """Kill it if it runs, and start it on the same address and files; returns when it answers.

        What it has in memory alone is gone.
        """
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

    def _prepare(self) -> None:
        """Write what the program reads when it starts: once for an address, not at a restart."""

    def _command(self) -> list[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def _is_ready(self, process: Process) -> bool:
        """Whether `process` answers, and not somebody else's server on the port."""
        raise NotImplementedError

    def _start_somewhere(self) -> None:
        """Start on a free port, on another one where somebody was quicker to take it."""
        for _ in range(_ATTEMPTS):
            self.port = 0 if self.path else free_port()
            self._prepare()
            try:
                self._start()
            except RuntimeError as error:
                if "already in use" not in f"{error}\n{self.log}":
                    raise
            else:
                return
        raise RuntimeError(f"{_ATTEMPTS} ports were taken by others:\n{self.log}")

    def _start(self) -> None:
        self._process = process = Process(self._command(), self.directory)

        def answers() -> bool:
            process.expect_running()
            return self._is_ready(process)

        try:
            wait_until(f"a {self.kind} server answers", answers)
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{process.log}") from error

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.address}>"
