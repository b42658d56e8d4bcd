#!/usr/bin/env python3
"""Runs a suite of another maker's client against a Millrace of its own.

    tests/clients/run.py SUITE [--binary build/dev/millrace] [--restart-between-steps] [--transport NAME]…
                         [--only WORDS] [--record FOLDER] [--keep FOLDER]
    tests/clients/run.py --missing   # the suites that cannot run here, a line each

A suite runs once for each of its transports, all at the same time and against one server. With
--restart-between-steps each has a server of its own, which is killed and started again whenever a test says
so; a suite that waits much is cut into parts, each with its server.
Exit codes: 0 all passed, 1 a test failed or the server did, 2 wrong usage.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from typing import NamedTuple

from children import die_with_parent, free_ports
from record import Recorder
from server import TRANSPORTS, Server

HERE = pathlib.Path(__file__).resolve().parent
CLIENTS = HERE.parents[1] / "build" / "clients"
NODE = CLIENTS / "js" / "node"
TEST_SECONDS_MAX = 60
SUITE_SECONDS_MAX = 800  # of servers that sanitizers slow down, killed dozens of times


class Suite(NamedTuple):
    files: tuple[str, ...]  # of js/ without .test.js; none: the Python suite
    transports: tuple[str, ...] = ("amqp",)
    needs: str = ""  # of NEEDS
    parts: int = 1  # of a run with restarts, in which one test follows the other


NEEDS = {
    "": "a server",
    "open": "two servers, one of them without keys",
    "worker": "a server that leaves documents to the example worker, and a provider",
    "provider": "a provider, no server",
    "both": "a server whose deployment is a provider",
    "rabbitmq": "RabbitMQ, no server",
}

SUITES = {
    "js": Suite(("sending", "receiving", "locks", "sessions", "topics", "rights"), TRANSPORTS, parts=3),
    "administration": Suite(("administration",)),
    "rhea": Suite(("rhea",), needs="open"),
    # Each close of the client takes up to a second: it awaits the end of a thread that sleeps.
    "python": Suite((), TRANSPORTS, parts=4),
    "rabbitmq": Suite(("rabbitmq",), needs="rabbitmq"),
    "openai": Suite(("openai",), needs="provider"),
    "batches": Suite(("batches",), needs="both"),
    "worker": Suite(("worker",), needs="worker"),
}


def missing_parts(suite, clients=CLIENTS):
    """What tools/fetch_clients.py has not fetched of what the suite needs."""
    places = {
        "js": clients / "js" / "node",
        "python": clients / "python" / "azure",
        "rabbitmq": clients / "rabbitmq" / "server",
    }
    needed = ["js" if suite.files else "python"] + (["rabbitmq"] if suite.needs == "rabbitmq" else [])
    return [part for part in needed if not places[part].exists()]


def print_missing():
    for name, suite in SUITES.items():
        for part in missing_parts(suite):
            print(f"clients_{name}: the {part} client is not there")


def command(suite, only, part, parts):
    """The program that runs this part of the suite, and what it needs of the environment."""
    if not suite.files:
        words = ["/usr/bin/python3", HERE / "python" / "main.py", *([only] if only else [])]
        return words, {
            "PYTHONPATH": str(CLIENTS / "python"), "PYTHONDONTWRITEBYTECODE": "1",
            "MILLRACE_PART": f"{part}/{parts}",
        }
    words = [NODE, "--test", "--test-isolation=none", f"--test-timeout={TEST_SECONDS_MAX * 1000}",
             "--test-reporter=spec", "--test-force-exit"]
    words += [f"--test-name-pattern={only}"] if only else []
    words += [HERE / "js" / f"{name}.test.js" for name in suite.files[part::parts]]
    return words, {"NODE_PATH": str(CLIENTS / "js" / "node_modules")}


class Steps(socketserver.UnixStreamServer):
    """
    Tests connect and write a server's name; they are answered when it was killed and is ready again. If it
    does not come back the test finds the connection ended.
    """

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            if name := self.rfile.readline().decode().strip():
                self.server.restart(self.server.servers[name])
                self.wfile.write(b"ready\n")

    def __init__(self, path):
        super().__init__(str(path), Steps.Handler)
        self.restarts, self.seconds, self.servers = 0, 0.0, {}

    def restart(self, server):
        start = time.monotonic()
        server.kill()
        server.start()
        self.restarts += 1
        self.seconds += time.monotonic() - start


@contextlib.contextmanager
def running_steps(path):
    """To be entered before the server: a server ends with the thread that started it, which is this one's."""
    with Steps(path) as steps:
        threading.Thread(target=steps.serve_forever, daemon=True).start()
        yield steps
        steps.shutdown()


# Half of a start is spent on the weights of the local model, which no client of the broker needs.
NO_WEIGHTS = '[[deployments]]\nname = "default"\nprovider = "local-hash"\n'


@contextlib.contextmanager
def restartable_servers(suite, binary, folder, transport):
    """Yields the steps of a server with the entities of one transport, and what its suite is told."""
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        steps = stack.enter_context(running_steps(folder / "steps"))

        def start(name, **options):
            options |= {"transports": (transport,), "more": NO_WEIGHTS}
            steps.servers[name] = stack.enter_context(running_server(binary, folder / name, **options))
            return steps.servers[name]

        environment = {"MILLRACE_STEP": str(folder / "steps"), "MILLRACE_TRANSPORT": transport}
        environment |= start("server").environment()
        if suite.needs == "open":
            environment["MILLRACE_OPEN_AMQP_PORT"] = str(start("open", with_keys=False).ports["amqp"])
        yield steps, environment


@contextlib.contextmanager
def running_server(*arguments, **options):
    server = Server(*arguments, **options)
    try:
        server.start()
        yield server
        code = server.stop()
        if code != 0:
            raise RuntimeError(f"the server ended with {code}:\n{server.log_end()}")
    finally:
        if server.process and server.process.poll() is None:
            server.kill()


@contextlib.contextmanager
def running_rabbitmq(folder):
    program = [sys.executable, HERE / "rabbitmq.py", "start", folder]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("no RabbitMQ")
        yield json.loads(line)["amqp"]
        process.stdin.close()


HASTY = ("--rpm", "60", "--fault", "first:1:503,first:1:429")


@contextlib.contextmanager
def running_simulator(binary, log, more=HASTY):
    """A provider, by default one whose first two answers are errors; yields its URL."""
    port, = free_ports(1)
    options = ["--listen", f"127.0.0.1:{port}", "--key", "k", "--model", "mine", "--dimensions", "384",
               "--filter", "FORBIDDEN", "--decline", "NEVER", *more]
    with open(log, "w+b") as file:
        process = subprocess.Popen([binary, "simulate", *options], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=file, preexec_fn=die_with_parent)
        try:
            if not process.stdout.readline():  # it says where it listens
                raise RuntimeError(f"no simulator:\n{pathlib.Path(log).read_text(encoding='utf-8')}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate()


def deployment(url, key):
    """The simulator as a deployment of a server."""
    key.write_text("k\n", encoding="ascii")
    key.chmod(0o600)
    return (f'[[deployments]]\nname = "default"\nprovider = "openai"\nendpoint = "{url}/v1"\n'
            f'key_file = {json.dumps(str(key))}\nmodel = "text-embedding-3-small"\nprice_prompt = 0.02\n')


def copy_of_worker(folder):
    """The example with the packages of the tests beside it."""
    shutil.copytree(HERE.parents[1] / "examples" / "js-worker", folder)
    (folder / "node_modules").symlink_to(CLIENTS / "js" / "node_modules")
    return folder


def run_suite(suite, environments, only, folder, parts=1):
    """
    Runs it with each of these environments, which have names, at the same time: of `parts` environments that
    follow one another each runs its part. True if all passed.
    """
    base = {name: value for name, value in os.environ.items() if not name.startswith(("MILLRACE_", "NODE_"))}
    running = {}
    for i, (name, environment) in enumerate(environments.items()):
        words, more = command(suite, only, i % parts, parts)
        log = open(folder / f"{name}.log", "w+", encoding="utf-8", errors="replace")
        running[name] = log, subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                              preexec_fn=die_with_parent, env=base | more | environment)
    end = time.monotonic() + SUITE_SECONDS_MAX
    passed = True
    for name, (log, process) in running.items():
        try:
            code = process.wait(timeout=max(1.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        log.seek(0)
        print(f"--- {name}: {'passed' if code == 0 else f'failed ({code})'}\n{log.read()}", flush=True)
        log.close()
        passed = passed and code == 0
    return passed


def start_peers(stack, suite, options, folder):
    """What the suite needs besides a server; returns what it is told of that."""
    if suite.needs == "rabbitmq":
        return {"RABBITMQ_PORT": str(stack.enter_context(running_rabbitmq(folder / "rabbitmq")))}
    if suite.needs == "open":
        server = stack.enter_context(running_server(options.binary, folder / "open", with_keys=False))
        return {"MILLRACE_OPEN_AMQP_PORT": str(server.ports["amqp"])}
    if suite.needs in ("provider", "worker"):
        url = stack.enter_context(running_simulator(options.binary, folder / "simulate.log"))
        worker = str(copy_of_worker(folder / "worker")) if suite.needs == "worker" else ""
        return {"SIMULATOR_URL": url, "WORKER_FOLDER": worker}
    return {}


def run_with_restarts(suite, transports, options, folder):
    """True if the suite passed for each transport."""
    steps, environments = {}, {}
    with contextlib.ExitStack() as stack:
        for transport in transports:
            for part in range(suite.parts):
                name = f"{transport}-{part + 1}" if suite.parts > 1 else transport
                servers = restartable_servers(suite, options.binary, folder / name, transport)
                steps[name], environments[name] = stack.enter_context(servers)
        passed = run_suite(suite, environments, options.only, folder, suite.parts)
        for name, one in steps.items():
            print(f"{name}: {one.restarts} restarts in {one.seconds:.1f} s")
            for role, server in ({} if passed else one.servers).items():
                print(f"--- the end of the log of {name}/{role}\n{server.log_end()}")
        return passed


def run(options, folder):
    suite = SUITES[options.suite]
    transports = [name for name in suite.transports if name in (options.transport or TRANSPORTS)]
    if options.restart_between_steps:
        return run_with_restarts(suite, transports, options, folder)
    with contextlib.ExitStack() as stack:
        environment = start_peers(stack, suite, options, folder)

        def run_all():
            environments = {name: environment | {"MILLRACE_TRANSPORT": name} for name in transports}
            return run_suite(suite, environments, options.only, folder)

        if "no server" in NEEDS[suite.needs]:
            return run_all()
        more = ["--workers=off"] if suite.needs == "worker" else []
        tables = ""
        if suite.needs == "both":
            url = stack.enter_context(running_simulator(options.binary, folder / "simulate.log", ()))
            environment["SIMULATOR_URL"] = url
            tables = deployment(url, folder / "key")
        server = stack.enter_context(
            running_server(options.binary, folder / "server", more=tables, options=more))
        environment |= server.environment()
        if options.record:
            recorder = Recorder(("127.0.0.1", server.ports["amqp"]), options.record)
            environment |= server.environment(amqp_port=recorder.port)
        passed = run_all()
        if not passed:
            print(f"--- the end of the server's log\n{server.log_end()}")
        return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("suite", choices=SUITES, nargs="?")
    parser.add_argument("--missing", action="store_true", help="name the suites that cannot run here")
    parser.add_argument("--binary", type=pathlib.Path, default=HERE.parents[1] / "build" / "dev" / "millrace")
    parser.add_argument("--restart-between-steps", action="store_true")
    parser.add_argument("--transport", action="append", choices=TRANSPORTS)
    parser.add_argument("--only", metavar="WORDS", help="tests whose names hold these words")
    parser.add_argument("--record", type=pathlib.Path, metavar="FOLDER", help="keeps what clients send")
    parser.add_argument("--keep", type=pathlib.Path, help="folder that keeps configuration, data and logs")
    options = parser.parse_args()
    if options.missing:
        return print_missing()
    if not options.suite:
        parser.error("name a suite")
    options.binary = options.binary.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="millrace-clients-") as scratch:
        folder = options.keep.resolve() if options.keep else pathlib.Path(scratch)
        if options.keep:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        try:
            if missing := missing_parts(SUITES[options.suite]):
                raise RuntimeError(f"not there: {', '.join(missing)}; run tools/fetch_clients.py")
            return 0 if run(options, folder) else 1
        except RuntimeError as error:
            print(f"run: {error}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
