"""A server that says what a test has it say, to whoever connects."""

import select
import socket
import threading

__all__ = ["Liar", "deaf"]


class Liar:
    """Listens on a port of 127.0.0.1, and calls `answer(connection, request)` for each request.

    `answer` may raise an OSError, which ends the connection; so does returning True. A request is
    what comes in one piece.
    """

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.connected = 0
        self._ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def where(self):
        return "{}:{}".format(*self._listening.getsockname())

    def _accept(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            if self._ended.is_set():
                connection.close()
                return
            self.connected += 1
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection):
        with connection:
            try:
                while request := connection.recv(65536):
                    self.requests.append(request)
                    if self.answer(connection, request):
                        return
            except OSError:
                pass

    def close(self):
        self._ended.set()
        with socket.create_connection(self._listening.getsockname()):
            self._listening.close()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class deaf:  # noqa: N801 - used as a word: `with deaf() as server`
    """A port that nobody is ever connected to: as many as may wait to be accepted, wait already."""

    def __enter__(self):
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.where = "{}:{}".format(*self._listening.getsockname())
        self._waiting = []
        for _ in range(8):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(self._listening.getsockname())
            self._waiting.append(one)
        assert not select.select([], [one], [], 0.05)[1], "this system connects more than may wait"
        return self

    def __exit__(self, *_):
        for one in (*self._waiting, self._listening):
            one.close()
