"""Programs of a benchmark on this machine: a server, workers that share its queue over AMQP and their state
in PostgreSQL, and a simulated provider. They listen on 127.0.0.1, on free ports, and end with `Processes`."""

import json
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "release" / "millrace"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def get_json(url, timeout=30):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return json.load(answer)


def post_json(url, value, headers=None, timeout=60):
    request = urllib.request.Request(url, json.dumps(value).encode(),
                                     {"Content-Type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


def wait_for(url, process):
    """Until `url` answers 200. SystemExit if the process ends before."""
    for _ in range(1200):
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(process.args[:2])} ended at once")
            time.sleep(0.05)
    raise SystemExit(f"nothing answers at {url}")


class Processes:
    """Ends what it started, in the opposite order."""

    def __init__(self, program=PROGRAM):
        self.program = str(program)
        self.running = []

    def start(self, *args, log, env=None):
        """A millrace command."""
        return self.start_program([self.program, *args], log, env)

    def start_program(self, words, log, env=None):
        with open(log, "ab") as file:
            environment = {**os.environ, **(env or {})}
            one = subprocess.Popen([str(word) for word in words], stdout=file, stderr=file, env=environment)
        self.running.append(one)
        return one

    def kill(self, one):
        one.kill()
        one.wait()
        self.running.remove(one)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in reversed(self.running):
            # PostgreSQL waits for its clients at SIGTERM.
            one.send_signal(signal.SIGINT if one.args[0].endswith("setpriv") else signal.SIGTERM)
            try:
                one.wait(30)
            except subprocess.TimeoutExpired:
                one.kill()


def start_postgres(processes, folder):
    """A server of its own in `folder`; answers the connection string."""
    programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: int(one.parent.name))
    if not programs:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql")
    place = folder / "postgres"
    place.mkdir()
    as_user = ["/usr/bin/setpriv"]
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        for path in (place, folder):
            os.chown(path, user.pw_uid, user.pw_gid)
        as_user += ["--reuid", user.pw_uid, "--regid", user.pw_gid, "--clear-groups"]
    as_user += ["--pdeathsig", "INT", "--"]
    made = processes.start_program([*as_user, programs[-1] / "initdb", "-D", place / "data", "-U", "postgres",
                                    "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"], folder / "initdb.log")
    if made.wait() != 0:
        raise SystemExit((folder / "initdb.log").read_text())
    processes.running.remove(made)
    log = folder / "postgres.log"
    server = processes.start_program([*as_user, programs[-1] / "postgres", "-D", place / "data", "-k", place,
                                      "-c", "listen_addresses="], log)
    while "ready to accept connections" not in log.read_text():
        if server.poll() is not None:
            raise SystemExit(log.read_text())
        time.sleep(0.05)
    return f"host={place} port=5432 user=postgres dbname=postgres"


def start_simulator(processes, folder, *options):
    """A simulated provider that logs its decisions to folder/decisions; answers its port."""
    port = free_port()
    simulator = processes.start("simulate", "--listen", f"127.0.0.1:{port}", "--log",
                                str(folder / "decisions"), *options, log=folder / "simulate.log")
    wait_for(f"http://127.0.0.1:{port}/healthz", simulator)
    return port


def deployment(port, settings="", name="sim", model="text-embedding-3-small"):
    """Of the simulated provider at `port`, as it stands in a configuration."""
    return (f'[[deployments]]\nname = "{name}"\nprovider = "openai"\n'
            f'endpoint = "http://127.0.0.1:{port}/v1"\nmodel = "{model}"\n{settings}')


def read_log(path):
    """The decisions of the simulator, by time."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows.sort(key=lambda row: row["at_ms"])
    return rows


class Fleet:
    """`millrace serve`, alone or with `workers` processes of `millrace work` beside it, which take their work
    from its queues over AMQP. Without `postgres` (a connection string) each has its state for itself."""

    def __init__(self, processes, folder, deployments, workers=0, postgres="", queues=("document-ingestion",),
                 concurrency=32, lock_seconds=300):
        self.processes, self.folder, self.deployments = processes, folder, deployments
        self.store = '[store]\nengine = "postgres"\n' if postgres else ""
        self.env = {"MILLRACE_STORE__CONNECTION_STRING": postgres} if postgres else {}
        self.queues, self.concurrency = queues, concurrency
        http, self.amqp = free_port(), free_port()
        self.url = f"http://127.0.0.1:{http}"
        locks = "".join(f'[[queues]]\nname = "{name}"\nlock_seconds = {lock_seconds}\n'
                        for name in {*queues, "embed-queue"})
        config = self._write("serve", f'[server]\ndata_dir = "{folder}/serve"\nlisten = "127.0.0.1:{http}"\n'
                                      f'amqp_listen = "127.0.0.1:{self.amqp}"\n'
                                      f'workers = {str(workers == 0).lower()}\n{self.store}{locks}')
        self.server = processes.start("serve", "--config", config, log=folder / "serve.log", env=self.env)
        wait_for(f"{self.url}/readyz", self.server)
        self.workers = [self.start_worker(number) for number in range(workers)]

    def _write(self, name, text):
        path = self.folder / f"{name}.toml"
        path.write_text(text + self.deployments)
        return str(path)

    def start_worker(self, number):
        handlers = {"document-ingestion": "embed-index"}
        worked = "".join(f'[[workers]]\nqueue = "{name}"\nhandler = "{handlers.get(name, "task")}"\n'
                         f'concurrency = {self.concurrency}\n' for name in self.queues)
        config = self._write(f"work{number}", f'[server]\ndata_dir = "{self.folder}/work{number}"\n'
                                              f'[queue]\nengine = "servicebus"\n{self.store}{worked}')
        key = (f"Endpoint=sb://127.0.0.1:{self.amqp};SharedAccessKeyName=RootManageSharedAccessKey;"
               "SharedAccessKey=k;UseDevelopmentEmulator=true;")
        return self.processes.start("work", "--config", config, log=self.folder / f"work{number}.log",
                                    env={**self.env, "MILLRACE_QUEUE__CONNECTION_STRING": key})

    def restart_worker(self, number):
        """Kills a worker and starts it anew."""
        self.processes.kill(self.workers[number])
        self.workers[number] = self.start_worker(number)

    def backlog(self):
        """Messages that wait or are worked on, in all queues."""
        return sum(one["active"] + one["locked"] + one.get("scheduled", 0)
                   for one in get_json(f"{self.url}/v1/queues")["queues"])
