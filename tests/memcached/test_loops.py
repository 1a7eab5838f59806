"""Cancellation, and one event loop after the other, or several at once."""

import asyncio
import os
import threading

from memcached.colours import entry, namespaces
from servers.memcached import Memcached as Server
from servers.process import wait_until

from memo.backends.memcached import Memcached
from memo.backends.memcached_async import AsyncMemcached

#: How many reads are cancelled; MEMO_CANCELLED=10000 for the full count.
CANCELLED = int(os.environ.get("MEMO_CANCELLED", "300"))
LOOPS = 100


async def cancelled(awaitable, turns):
    """Begin it, cancel it after so many turns of the loop, and wait for its end."""
    task = asyncio.ensure_future(awaitable)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


class Questions:
    """Counts the questions that threads begin to ask a server for `backend`."""

    def __init__(self, backend):
        self.count = 0
        self._ask = backend._store._connections.ask
        self._told = None
        backend._store._connections.ask = self.ask

    def ask(self, *args):
        self.count += 1
        if self._told is not None:
            loop, event = self._told
            loop.call_soon_threadsafe(event.set)
        return self._ask(*args)

    async def more(self):
        """Wait for the next one."""
        event = asyncio.Event()
        self._told = asyncio.get_running_loop(), event
        await event.wait()
        self._told = None


def test_reads_cancelled_on_a_stalled_server_harm_nobody():
    """However many: afterwards each key has its own value, and no connection is left over."""
    with Server() as server:
        backend = AsyncMemcached(server.where, namespace=namespaces())
        questions = Questions(backend)
        keys = [f"key {number}" for number in range(10)]

        async def read_and_give_up(number):
            if number % 3 == 0:
                assert await cancelled(backend.read(keys[number % 10]), turns=number % 7)
                return
            task = asyncio.ensure_future(backend.read(keys[number % 10]))
            await questions.more()  # it is on its way
            assert await cancelled(task, turns=number % 2)

        async def stall():
            for key in keys:
                await backend.write(key, entry(key, ttl=None))
            server.stop()
            for number in range(CANCELLED):
                await read_and_give_up(number)
            server.resume()
            for _ in range(3):
                for key in keys:
                    async with asyncio.timeout(20):
                        assert (await backend.read(key)).value == key
            found = await asyncio.gather(*(backend.read(key) for key in keys * 10))
            assert [one.value for one in found] == keys * 10

        asyncio.run(stall())
        assert questions.count > CANCELLED / 2
        wait_until("all is closed that was cancelled", lambda: server.connections <= 4)
        assert len(backend._store._connections._open) <= 4
        asyncio.run(backend.close())


def test_cancelling_anything_at_any_moment_leaves_the_backend_as_good_as_before(server):
    """Reads, writes, deletes, batches and clears, after one turn of the loop, two, and so on."""
    backend = AsyncMemcached(server.where, namespace=namespaces())

    async def storm():
        for turns in range(12):
            for operation in (
                lambda: backend.read("a"),
                lambda: backend.write("a", entry("a")),
                lambda: backend.delete("a"),
                lambda: backend.read_many(["a", "b"]),
                lambda: backend.write_many({"a": entry("a"), "b": entry("b")}),
                backend.clear,
            ):
                await cancelled(operation(), turns)
                for key in ("x", "y"):
                    await backend.write(key, entry(key))
                    assert (await backend.read(key)).value == key
                found = await backend.read("a")
                assert found is None or found.value == "a"
        await backend.close()

    asyncio.run(storm())


def test_who_is_not_cancelled_gets_an_answer(server):
    """Of many who ask together, some are cancelled; the others get what they asked for."""
    backend = AsyncMemcached(server.where, namespace=namespaces())

    async def crowd():
        for number in range(50):
            await backend.write(number, entry(number))
        for _ in range(20):
            tasks = [asyncio.ensure_future(backend.read(number)) for number in range(50)]
            await asyncio.sleep(0)
            for task in tasks[::3]:
                task.cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            for number, one in enumerate(found):
                if number % 3:
                    assert one.value == number
        await backend.close()

    asyncio.run(crowd())


def test_reads_at_the_same_time_are_few_questions(server):
    """A hundred at once take a handful of the server's gets; each gets its own value."""
    backend = AsyncMemcached(server.where, namespace=namespaces())

    async def crowd():
        await backend.write_many({number: entry(number) for number in range(100)})
        questions = Questions(backend)
        found = await asyncio.gather(*(backend.read(number) for number in range(100)))
        assert [one.value for one in found] == [*range(100)]
        assert 0 < questions.count <= 50
        await backend.close()

    asyncio.run(crowd())


def test_hundreds_at_once_know_no_limit(server):
    """Neither tasks nor threads beyond the number of connections are an error."""
    backend = AsyncMemcached(server.where, namespace=namespaces())
    before = server.connections

    async def turn(number):
        await backend.write(number, entry(number))
        assert (await backend.read(number)).value == number
        assert await backend.delete(number) is True

    async def crowd():
        await asyncio.gather(*(turn(number) for number in range(500)))
        assert server.connections - before <= 4
        await backend.close()

    asyncio.run(crowd())


def test_one_loop_after_the_other(server):
    """A hundred times `asyncio.run`: no error, no warning, no connection more each time."""
    backend = Memcached(server.where, namespace=namespaces()).twin
    before = server.connections

    async def use(number):
        found = await backend.read("k")
        assert found is None or found.value == number - 1
        await backend.write("k", entry(number))

    for number in range(LOOPS):
        asyncio.run(use(number))
    assert server.connections - before <= 4
    asyncio.run(backend.close())


def test_a_loop_that_is_closed_in_the_middle_of_a_call():
    """The answer comes when its loop is gone; the next loop's calls are answered as ever."""
    with Server() as server:
        backend = AsyncMemcached(server.where, namespace=namespaces())

        async def begin():
            asking = backend.write("k", entry("value"))
            asking.send(None)
            return asking

        for _ in range(3):
            server.stop()
            loop = asyncio.new_event_loop()
            asking = loop.run_until_complete(begin())
            loop.close()
            asking.close()
            server.resume()
            assert asyncio.run(backend.read("other")) is None
        wait_until("the write is done", lambda: asyncio.run(backend.read("k")))
        asyncio.run(backend.close())


def test_several_loops_at_once(server):
    """Threads with a loop each: every read gets its own value."""
    backend = AsyncMemcached(server.where, namespace=namespaces())
    wrong = []

    async def use(number):
        for turn in range(30):
            await backend.write(number, entry((number, turn)))
            found = await asyncio.gather(*(backend.read(number) for _ in range(5)))
            wrong.extend(one for one in found if one.value != (number, turn))

    threads = [
        threading.Thread(target=lambda number=number: asyncio.run(use(number)))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    asyncio.run(backend.close())
