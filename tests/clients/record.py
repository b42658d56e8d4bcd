#!/usr/bin/env python3
"""A proxy that keeps what clients send: one file for each connection, byte for byte, to feed the fuzzers.

    tests/clients/record.py --to 127.0.0.1:5672 --out FOLDER [--listen 127.0.0.1:0]

Prints the address it listens on, then runs until SIGTERM or Ctrl-C. tests/clients/run.py --record FOLDER puts
it between a suite and the server. What it keeps holds signatures, and with SASL PLAIN the keys themselves:
record against a server with throw-away keys only.
"""

import argparse
import contextlib
import itertools
import pathlib
import signal
import socket
import sys
import threading

BYTES_AT_ONCE = 65536


class Recorder:
    """Listens on `listen`, connects each client to `to`, and writes its bytes to `out`/NNNN.bin."""

    def __init__(self, to, out, listen=("127.0.0.1", 0)):
        self.to, self.out = to, out
        out.mkdir(parents=True, exist_ok=True)
        self.numbers = itertools.count(1)
        self.listener = socket.create_server(listen)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client, next(self.numbers)), daemon=True).start()

    def serve(self, client, number):
        with client, open(self.out / f"{number:04}.bin", "wb") as file:
            try:
                server = socket.create_connection(self.to)
            except OSError:
                return  # the client sees a closed connection, as without a server
            with server:
                back = threading.Thread(target=copy, args=(server, client), daemon=True)
                back.start()
                copy(client, server, file)
                back.join()

    def close(self):
        self.listener.close()


def copy(source, target, file=None):
    """Until `source` is at its end; then `target` is told so."""
    with contextlib.suppress(OSError):
        while data := source.recv(BYTES_AT_ONCE):
            if file:
                file.write(data)
                file.flush()
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--to", type=address, required=True, metavar="HOST:PORT")
    parser.add_argument("--out", type=pathlib.Path, required=True, metavar="FOLDER")
    parser.add_argument("--listen", type=address, default=("127.0.0.1", 0), metavar="HOST:PORT")
    options = parser.parse_args()
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    recorder = Recorder(options.to, options.out, options.listen)
    print(f"listening on {options.listen[0]}:{recorder.port}", flush=True)
    signal.sigwait(signals)
    recorder.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
