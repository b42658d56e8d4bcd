"""Child processes of the test programs: on free ports of 127.0.0.1, never longer alive than their parent."""

import ctypes
import signal
import socket

PR_SET_PDEATHSIG = 1


def die_with_parent():
    """To be run in a child before its program: it is killed when its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def hold_ports(count):
    """
    (sockets, ports): as long as the sockets live nobody is given these ports by chance, such as while a
    server on them is restarted; who asks for them by number and with SO_REUSEADDR can listen on them.
    """
    sockets = []
    for _ in range(count):
        sockets.append(socket.socket())
        sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sockets[-1].bind(("127.0.0.1", 0))
    return sockets, [one.getsockname()[1] for one in sockets]
