"""A wire to a server that can be cut, as a network does it: nothing is refused, nothing comes."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Wire:
    """Forwards connections from one address to another.

    Args:
        to: where they are led, as host and port.
        at: where they are taken, as host and port; 0 is any free port.
    """

    def __init__(self, to: tuple[str, int], at: tuple[str, int]) -> None:
        self._to = to
        self._listener = socket.create_server(at)
        self.port = int(self._listener.getsockname()[1])
        self._whole = threading.Event()
        self._whole.set()
        self._over = threading.Event()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Lets nothing through any more, in either direction."""
        self._whole.clear()

    def mend(self) -> None:
        """Ends what hung meanwhile, and lets new connections through."""
        old, self._sockets = self._sockets, []
        for one in old:
            with suppress(OSError):
                one.close()
        self._whole.set()

    def close(self) -> None:
        self._over.set()
        self._listener.close()
        self.mend()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                theirs, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                ours = socket.create_connection(self._to)
            except OSError:
                theirs.close()
                continue
            self._sockets += [theirs, ours]
            for pair in ((theirs, ours), (ours, theirs)):
                threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while True:
                select.select([source], [], [])
                self._whole.wait()
                content = source.recv(65_536)
                if not content:
                    break
                target.sendall(content)
        for one in (source, target):
            with suppress(OSError):
                one.close()


@contextmanager
def wire(to_port: int, *, to: str = "127.0.0.1", at: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[Wire]:
    """A wire, gone afterwards."""
    made = Wire((to, to_port), at)
    try:
        yield made
    finally:
        made.close()
