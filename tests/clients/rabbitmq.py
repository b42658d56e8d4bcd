#!/usr/bin/env python3
"""A private RabbitMQ for tests: one node on free ports of 127.0.0.1, all its files in one folder.

    tests/clients/rabbitmq.py start DIR

When AMQP (0-9-1 and 1.0) is served it prints one line, {"amqp": PORT}; user guest, password guest, or
ANONYMOUS. It runs until SIGTERM comes or standard input, if that is a pipe, closes; then it ends the node.
DIR stays. The node also ends when this program is killed. Without a node after 60 seconds it says why on
standard error and exits with 1. tools/fetch_clients.py provides the programs.
"""

import json
import os
import pathlib
import select
import signal
import socket
import stat
import subprocess
import sys
import time

from children import die_with_parent, free_ports

HOME = pathlib.Path(__file__).resolve().parents[2] / "build" / "clients" / "rabbitmq"
START_SECONDS_MAX = 60
SMALL = "+S 1:1 +A 4"  # little work beside the tests
AMQP_1_0_WITH_SASL = b"AMQP\x03\x01\x00\x00"


def environment(folder, ports, options):
    """Everything that RabbitMQ and Erlang would look for elsewhere, pointed into `folder`."""
    erlang = HOME / "erlang"
    return {
        "PATH": f"{erlang / 'bin'}:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8",
        "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_INETRC": str(folder / "inetrc"),
        "RUNNING_UNDER_SYSTEMD": "true",  # the start script becomes the node instead of waiting for it
        "RABBITMQ_NODENAME": "rabbit@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": str(ports["amqp"]),
        "RABBITMQ_DIST_PORT": str(ports["distribution"]),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"), "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
            f"{options} -kernel inet_dist_use_interface {{127,0,0,1}}",
    }


def write_files(folder):
    for name in ("data", "log", "generated"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "plugins").write_text("[rabbitmq_amqp1_0].\n", encoding="ascii")
    # Names are looked up here only: a bare system may have no /etc/hosts.
    (folder / "inetrc").write_text('{host,{127,0,0,1},["localhost"]}.\n{lookup,[file]}.\n', encoding="ascii")
    # A nearly full disk or memory must not stop a test.
    (folder / "rabbitmq.conf").write_text(
        "disk_free_limit.absolute = 1MB\nvm_memory_high_watermark.absolute = 512MB\n", encoding="ascii")


def speaks_amqp(port):
    """True if the header of AMQP 1.0 with SASL is answered with the same."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(AMQP_1_0_WITH_SASL)
            return connection.recv(8) == AMQP_1_0_WITH_SASL
    except OSError:
        return False


class Node:
    """The node and its name service, both children of this process. `options`: of the Erlang machine."""

    def __init__(self, folder, options=SMALL):
        self.folder = folder
        write_files(folder)
        names = ("amqp", "distribution", "epmd")
        self.ports = dict(zip(names, free_ports(len(names))))
        settings = environment(folder, self.ports, options)
        epmd, = HOME.glob("erlang/erts-*/bin/epmd")
        self.log = open(folder / "log" / "start.log", "wb")
        streams = {"env": settings, "stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": self.log,
                   "preexec_fn": die_with_parent}
        self.epmd = subprocess.Popen([epmd], **streams)
        self.node = subprocess.Popen([HOME / "server" / "sbin" / "rabbitmq-server"], **streams)

    def wait_until_ready(self):
        """False if the node ended or is not ready in time."""
        end = time.monotonic() + START_SECONDS_MAX
        while not speaks_amqp(self.ports["amqp"]):
            if self.node.poll() is not None or time.monotonic() > end:
                return False
            select.select([], [], [], 0.05)
        return True

    def stop(self):
        """Ends both at once: nobody reads their data again."""
        for process in (self.node, self.epmd):
            process.kill()
            process.wait()
        self.log.close()


def wait_for_the_end():
    """Until standard input, if a pipe, is at its end, or SIGTERM or SIGINT."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    watched = [read]
    if stat.S_ISFIFO(os.fstat(0).st_mode) or stat.S_ISSOCK(os.fstat(0).st_mode):
        watched.append(0)
    while True:
        ready, _, _ = select.select(watched, [], [])
        if read in ready or not os.read(0, 4096):
            return


def main(arguments):
    if len(arguments) != 2 or arguments[0] != "start":
        print(__doc__.strip(), file=sys.stderr)
        return 2
    if not HOME.is_dir():
        print("rabbitmq: not there; run tools/fetch_clients.py rabbitmq", file=sys.stderr)
        return 1
    node = Node(pathlib.Path(arguments[1]).resolve())
    try:
        if not node.wait_until_ready():
            log = (node.folder / "log" / "start.log").read_text(errors="replace")
            print(f"rabbitmq: did not start:\n{log[-4000:]}", file=sys.stderr)
            return 1
        print(json.dumps({"amqp": node.ports["amqp"]}), flush=True)
        wait_for_the_end()
    finally:
        node.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
