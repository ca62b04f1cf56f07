"""The address that a web server listens on, had before anything says that it does."""

import socket

from lvo.errors import OutputError

__all__ = ["bound"]


def bound(host: str, port: int) -> socket.socket:
    """A socket at an address; who got it closes it.

    Args:
        host: name or address.
        port: TCP port, 0 for any that is free.

    Raises:
        OutputError: the address cannot be had.
    """
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
    except OSError as error:
        server.close()
        msg = f"cannot listen on {host}:{port}: {error.strerror or error}; choose another port"
        raise OutputError(msg) from error
    return server
