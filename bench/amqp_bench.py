#!/usr/bin/env python3
"""Messages per second over AMQP 1.0, durable and acknowledged, beside RabbitMQ in the same run.

    bench/amqp_bench.py [--json PATH] [--rounds N] [--messages N] [--only WORD] [--no-rabbitmq]

The same programs send to and receive from both servers, taking turns: bench/amqp.cpp, which costs little, and
rhea. @azure/service-bus talks to Millrace only. A message counts as sent when it is accepted, as
received when its completion is confirmed. Before, both servers are killed with messages in their
queues and must have them afterwards. Figures are medians; the ratio is the median of the rounds' ratios.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))

import rabbitmq  # noqa: E402
from server import Server  # noqa: E402

PROGRAM = ROOT / "build" / "release" / "bench" / "bench_amqp"
CLIENTS = ROOT / "build" / "clients" / "js"
SAMPLE_SECONDS_MAX = 60
SURVIVORS = 500
QUEUE = '\n[[queues]]\nname = "bench"\nlock_seconds = 300\n'


class Case(NamedTuple):
    client: str  # "lean", "rhea" or "azure"
    bytes: int
    in_flight: int
    connections: int = 1


CASES = [
    *(Case("lean", size, in_flight, connections)
      for size in (256, 8192) for connections in (1, 4) for in_flight in (100, 1000)),
    *(Case("rhea", size, 500) for size in (256, 8192)),
    *(Case("azure", size, 200) for size in (256, 8192)),
]


class Peer(NamedTuple):
    name: str
    port: int
    process: int
    address: str


class Millrace:
    """The server under test, with one queue."""

    def __init__(self, binary, folder):
        self.server = Server(binary, folder, with_keys=False, more=QUEUE)
        self.start()

    def start(self):
        self.server.start()
        self.peer = Peer("Millrace", self.server.ports["amqp"], self.server.process.pid, "bench")

    def kill(self):
        self.server.kill()


class RabbitMQ:
    """With as many schedulers as it wants."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.start()

    def start(self):
        self.node = rabbitmq.Node(self.folder, options="")
        if not self.node.wait_until_ready():
            raise RuntimeError(f"RabbitMQ did not start; see {self.folder / 'log'}")
        self.peer = Peer("RabbitMQ", self.node.ports["amqp"], self.node.node.pid, "/queue/bench")

    def kill(self):
        self.node.stop()


def output_of(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=SAMPLE_SECONDS_MAX, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def lean(peer, case, messages, *more):
    return output_of([str(PROGRAM), "--port", str(peer.port), "--address", peer.address, "--server",
                      str(peer.process), "--connections", str(case.connections), "--in-flight",
                      str(case.in_flight), "--bytes", str(case.bytes), "--messages", str(messages), *more])


def sample(peer, case, messages):
    """Fills the queue and empties it; the figures of both. Fewer messages where each takes longer."""
    messages //= 1 if case.bytes <= 1024 else 2
    if case.client == "lean":
        return {"sent": lean(peer, case, messages), "received": lean(peer, case, messages, "--receive")}
    shape = {"port": peer.port, "address": peer.address, "server": peer.process, "bytes": case.bytes,
             "inFlight": case.in_flight, "messages": messages // 2}
    return output_of([str(CLIENTS / "node"), "--no-deprecation", str(HERE / "amqp" / "load.mjs"), case.client,
                      json.dumps(shape)], env=os.environ | {"NODE_PATH": str(CLIENTS / "node_modules")})


def check_durable(server):
    """Raises unless every message that was acknowledged outlives a kill of the server."""
    case = Case("lean", 256, 100)
    lean(server.peer, case, SURVIVORS)
    server.kill()
    server.start()
    lean(server.peer, case, SURVIVORS, "--receive")


def measure(servers, options):
    """All rounds: {(case, half): {server: [figures of a round]}}."""
    results = {}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        for case in CASES:
            if options.only and case.client != options.only:
                continue
            order = servers if number % 2 == 0 else servers[::-1]
            for peer in (server.peer for server in order):
                if case.client == "azure" and peer.name != "Millrace":
                    continue
                for half, figures in sample(peer, case, options.messages).items():
                    figures["rate"] = figures["messages"] / figures["seconds"]
                    results.setdefault((case, half), {}).setdefault(peer.name, []).append(figures)
    return results


def median(rounds, name):
    return statistics.median(figures[name] for figures in rounds)


def cpu_micros(rounds, name):
    return statistics.median(1e6 * figures[name] / figures["messages"] for figures in rounds)


def row(case, half, by_server):
    """One line of the table as data."""
    ours = by_server["Millrace"]
    figures = {**case._asdict(), "half": half}
    for name, rounds in by_server.items():
        figures[name] = {"per_second": median(rounds, "rate"), "rounds": [one["rate"] for one in rounds],
                         "server_cpu_micros": cpu_micros(rounds, "server_cpu"),
                         "client_cpu_micros": cpu_micros(rounds, "client_cpu")}
    figures["server_to_client_cpu"] = statistics.median(
        one["server_cpu"] / one["client_cpu"] for one in ours)
    theirs = by_server.get("RabbitMQ")
    if theirs:
        figures["ratio"] = statistics.median(a["rate"] / b["rate"] for a, b in zip(ours, theirs))
    return figures


def print_table(rows):
    print("                                            messages per second          CPU us a message    "
          "server/client")
    print("client      bytes  in flight  connections   Millrace RabbitMQ  ratio   Millrace RabbitMQ      CPU")
    for one in rows:
        ours, theirs = one["Millrace"], one.get("RabbitMQ")
        beside = (f"{theirs['per_second']:8.0f} {one['ratio']:6.2f}" if theirs else f"{'-':>8} {'-':>6}")
        cpu = f"{theirs['server_cpu_micros']:8.1f}" if theirs else f"{'-':>8}"
        half = "send" if one["half"] == "sent" else "receive"
        print(f"{one['client']:<5} {half:<7} {one['bytes']:4} {one['in_flight']:8} {one['connections']:11}"
              f"     {ours['per_second']:8.0f} {beside}   {ours['server_cpu_micros']:8.1f} {cpu}"
              f"    {100 * one['server_to_client_cpu']:4.0f} %")


def run(options, folder, stack):
    servers = [Millrace(options.binary.resolve(), folder / "millrace")]
    stack.callback(servers[0].kill)
    if not options.no_rabbitmq:
        servers.append(RabbitMQ(folder / "rabbitmq"))
        stack.callback(servers[1].kill)
    for server in servers:
        check_durable(server)
    print("After a kill both had every message that was acknowledged.", file=sys.stderr)
    results = measure(servers, options)
    return [row(case, half, by_server) for (case, half), by_server in results.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build" / "release" / "millrace")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build" / "bench" / "amqp.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=40_000,
                        help="of a sample; half with large bodies and half with clients from npm")
    parser.add_argument("--only", choices=["lean", "rhea", "azure"], help="one client")
    parser.add_argument("--no-rabbitmq", action="store_true", help="only Millrace: for a profile")
    options = parser.parse_args()
    options.json = options.json.resolve()  # the server runs in a folder of its own
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.json.parent, prefix="amqp-") as scratch, \
            contextlib.ExitStack() as stack:
        rows = run(options, pathlib.Path(scratch), stack)
    print_table(rows)
    text = json.dumps({"rounds": options.rounds, "rows": rows}, indent=1)
    options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
