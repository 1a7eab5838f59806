"""The demo: a client of a slow token endpoint, told as a story with real parts.

A real HTTP server on loopback signs tokens, verifies them and keeps a log; a real client memoizes
one token per user. What the client saw is checked against the server's log, so a run is a test.
"""

__all__: list[str] = []
