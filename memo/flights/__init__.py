"""Single flight: one running load per key and process, and everybody else waits for it.

A *flight* is a load under way. Whoever finds none opens one and is its leader; whoever finds one
follows it and gets the leader's result. A flight can be *superseded* by an invalidation or a newer
value: it leaves the table, so that later callers load anew, and its result is not stored.

Waiting must not deadlock. Before a caller waits, the chain of who waits for whom is followed; if
it leads back to the caller (a function that calls itself with the same key, two functions that
call each other), the caller loads by itself instead.
"""

from .table import ANEW
from .tasks import AsyncFlight, AsyncFlights
from .threads import BareFlight, Flight, Flights

__all__ = ["ANEW", "AsyncFlight", "AsyncFlights", "BareFlight", "Flight", "Flights"]
