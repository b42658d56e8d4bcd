#!/usr/bin/env python3
"""How much of a quota is used, and whether it is ever exceeded.

    bench/quota_bench.py [--json PATH] [--seconds N] [--only WORD] [--postgres DSN]

Against `millrace simulate`, which enforces a provider's rules and logs each decision: workers embed
documents of mixed sizes for N seconds (600) with more work than the quota allows. For each case: the share
of the granted tokens that was used, 429s in the first minute and after it (the minute after a change counts
as a first one), the fullest 60 s of the simulator's log whatever their alignment, and the same work by the
field's usual worker: three calls at once, a pause of 200 ms, one document a call, retries as the official
client does them. Several worker processes share a queue over AMQP and the ledger in PostgreSQL.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PROGRAM = ROOT / "build" / "release" / "millrace"
TOKENS_PER_MINUTE = 120_000
REQUESTS_PER_MINUTE = 600
WORDS = "water wheel mill race stone grain flour river sluice gate turning slowly under the old oak".split()


class Case(NamedTuple):
    name: str
    rule: tuple  # options of simulate
    settings: str = ""  # of the deployment
    workers: int = 1
    granted: float = 1.0  # of the quota, on average
    halved: bool = False


FIXED = ("--rule", "azure", "--window", "fixed", "--request-window", "10")
FIXED_SECOND = ("--rule", "azure", "--window", "fixed", "--request-window", "1")
SLIDING = ("--rule", "sliding")
ESTIMATE = 'counts = "estimate"\nrequest_window_seconds = {}\n'

CASES = [
    Case("fixed minutes, requests over 10 s", FIXED, ESTIMATE.format(10)),
    Case("fixed minutes, requests over 1 s", FIXED_SECOND, ESTIMATE.format(1)),
    Case("sliding minutes", SLIDING),
    Case("sliding, 2 processes", SLIDING, workers=2),
    Case("sliding, 4 processes", SLIDING, workers=4),
    Case("fixed, halved in the middle", FIXED, ESTIMATE.format(10), granted=0.75, halved=True),
    Case("sliding, halved in the middle", SLIDING, granted=0.75, halved=True),
    Case("fixed, a third taken by another", (*FIXED, "--foreign", "0.33"), ESTIMATE.format(10), granted=0.67),
    Case("sliding, a third taken by another", (*SLIDING, "--foreign", "0.33"), granted=0.67),
]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(url, process):
    for _ in range(600):
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            if process.poll() is not None:
                raise SystemExit(f"{process.args[1]} ended at once")
            time.sleep(0.05)
    raise SystemExit(f"nothing answers at {url}")


class Processes:
    """Programs that end with the case."""

    def __init__(self):
        self.running = []

    def start(self, *args, log, env=None):
        with open(log, "ab") as file:
            environment = {**os.environ, **(env or {})}
            one = subprocess.Popen([str(PROGRAM), *args], stdout=file, stderr=file, env=environment)
        self.running.append(one)
        return one

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in reversed(self.running):
            one.send_signal(signal.SIGTERM)
        for one in self.running:
            try:
                one.wait(20)
            except subprocess.TimeoutExpired:
                one.kill()


def text_of(rng):
    """20 to 1,500 words: some 30 to 2,000 tokens."""
    return " ".join(rng.choices(WORDS, k=int(20 * 75 ** rng.random())))


class Feeder(threading.Thread):
    """Keeps work waiting, no more than `ahead` documents of it."""

    def __init__(self, url, ahead):
        super().__init__(daemon=True)
        self.url, self.ahead, self.ended, self.sent = url, ahead, threading.Event(), 0

    def backlog(self):
        with urllib.request.urlopen(f"{self.url}/v1/queues", timeout=30) as answer:
            queues = json.load(answer)["queues"]
        return sum(one["active"] + one["locked"] for one in queues)

    def run(self):
        rng = random.Random(5)
        while not self.ended.is_set():
            if self.backlog() < self.ahead:
                documents = [{"id": f"d{self.sent + i}", "title": f"Document {self.sent + i}",
                              "content": f"{rng.random()} {text_of(rng)}"} for i in range(50)]
                request = urllib.request.Request(f"{self.url}/v1/documents", json.dumps(documents).encode(),
                                                 {"Content-Type": "application/json"})
                urllib.request.urlopen(request, timeout=60).read()
                self.sent += len(documents)
            else:
                self.ended.wait(0.5)


def deployment(port, settings):
    return (f'[[deployments]]\nname = "sim"\nprovider = "openai"\nendpoint = "http://127.0.0.1:{port}/v1"\n'
            f'model = "text-embedding-3-small"\ntokens_per_minute = {TOKENS_PER_MINUTE}\n'
            f'requests_per_minute = {REQUESTS_PER_MINUTE}\n{settings}')


def start_millrace(case, folder, simulator, processes, postgres):
    http, amqp = free_port(), free_port()
    alone = case.workers == 1 and not postgres
    store = '[store]\nengine = "postgres"\n' if postgres else ""
    env = {"MILLRACE_STORE__CONNECTION_STRING": postgres} if postgres else {}
    served = (f'[server]\ndata_dir = "{folder}/serve"\nlisten = "127.0.0.1:{http}"\n'
              f'amqp_listen = "127.0.0.1:{amqp}"\nworkers = {str(alone).lower()}\n{store}'
              f'[[queues]]\nname = "embed-queue"\nlock_seconds = 300\n'
              f'[[queues]]\nname = "document-ingestion"\nlock_seconds = 300\n')
    (folder / "serve.toml").write_text(served + deployment(simulator, case.settings))
    config = str(folder / "serve.toml")
    server = processes.start("serve", "--config", config, log=folder / "serve.log", env=env)
    wait_for(f"http://127.0.0.1:{http}/readyz", server)
    for number in range(0 if alone else case.workers):
        worked = (f'[server]\ndata_dir = "{folder}/work{number}"\n'
                  f'[queue]\nengine = "servicebus"\n{store}'
                  f'[[workers]]\nqueue = "document-ingestion"\nhandler = "embed-index"\nconcurrency = 32\n')
        config = folder / f"work{number}.toml"
        config.write_text(worked + deployment(simulator, case.settings))
        key = (f"Endpoint=sb://127.0.0.1:{amqp};SharedAccessKeyName=RootManageSharedAccessKey;"
               "SharedAccessKey=k;UseDevelopmentEmulator=true;")
        processes.start("work", "--config", str(config), log=folder / f"work{number}.log",
                        env={**env, "MILLRACE_QUEUE__CONNECTION_STRING": key})
    return f"http://127.0.0.1:{http}"


class UsualWorker:
    """A semaphore of 3, a pause of 200 ms, one document a call, retries with back-off."""

    def __init__(self, url):
        self.url, self.ended, self.threads = url, threading.Event(), []
        for number in range(3):
            self.threads.append(threading.Thread(target=self.work, args=(number,), daemon=True))

    def start(self):
        for one in self.threads:
            one.start()

    def work(self, number):
        rng = random.Random(number)
        while not self.ended.is_set():
            text = f"{rng.random()} {text_of(rng)}"
            body = json.dumps({"model": "text-embedding-3-small", "input": text}).encode()
            for attempt in range(6):
                try:
                    request = urllib.request.Request(f"{self.url}/v1/embeddings", body,
                                                     {"Content-Type": "application/json"})
                    urllib.request.urlopen(request, timeout=60).read()
                    break
                except urllib.error.HTTPError as error:
                    wait = float(error.headers.get("retry-after") or min(0.5 * 2 ** attempt, 8))
                    if self.ended.wait(min(wait, 60)):
                        return
                except OSError:
                    self.ended.wait(0.5)
            self.ended.wait(0.2)


def read_log(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows.sort(key=lambda row: row["at_ms"])
    return rows


def fullest_minute(rows):
    window, total, most = collections.deque(), 0, 0
    for row in rows:
        if not row["admitted"]:
            continue
        window.append(row)
        total += row["tokens_estimated"]
        while window[0]["at_ms"] <= row["at_ms"] - 60_000:
            total -= window.popleft()["tokens_estimated"]
        most = max(most, total)
    return most


def measure(rows, seconds, case):
    start = rows[0]["at_ms"]
    end = start + seconds * 1000
    rows = [row for row in rows if row["at_ms"] < end]
    used = sum(row["tokens_estimated"] for row in rows if row["admitted"])
    refused = [row["at_ms"] for row in rows if row["status"] == 429]
    change = start + seconds * 500
    late = [at for at in refused
            if at >= start + 60_000 and not (case.halved and change <= at < change + 60_000)]
    return {
        "share": used / (TOKENS_PER_MINUTE * case.granted * seconds / 60),
        "throttled_first_minute": len(refused) - len(late),
        "throttled_later": len(late),
        "fullest_minute": fullest_minute(rows) / TOKENS_PER_MINUTE,
        "calls": len(rows),
        "tokens": used,
    }


def run(case, seconds, usual, postgres):
    with tempfile.TemporaryDirectory(prefix="millrace-quota-") as name, Processes() as processes:
        folder = pathlib.Path(name)
        port = free_port()
        rule = list(case.rule)
        if case.halved:
            rule += ["--change", f"{seconds // 2}s:tpm={TOKENS_PER_MINUTE // 2}"]
        simulator = processes.start("simulate", "--listen", f"127.0.0.1:{port}", "--tpm",
                                    str(TOKENS_PER_MINUTE), "--rpm", str(REQUESTS_PER_MINUTE), "--latency",
                                    "200-2000", "--log", str(folder / "decisions"), *rule,
                                    log=folder / "simulate.log")
        wait_for(f"http://127.0.0.1:{port}/healthz", simulator)
        if usual:
            worker = UsualWorker(f"http://127.0.0.1:{port}")
            worker.start()
        else:
            url = start_millrace(case, folder, port, processes, postgres)
            worker = Feeder(url, 400)
            worker.start()
        deadline = time.monotonic() + seconds + 5
        while time.monotonic() < deadline:
            left = deadline - time.monotonic()
            what = case.name + (" (usual worker)" if usual else "")
            print(f"\r{what}: {left:.0f} s left   ", end="", file=sys.stderr)
            time.sleep(min(1, max(left, 0)))
        worker.ended.set()
        print("\r" + " " * 79 + "\r", end="", file=sys.stderr)
        return measure(read_log(folder / "decisions"), seconds, case)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--only", default="")
    parser.add_argument("--postgres", default="", help="connection string; several processes need it")
    parser.add_argument("--no-usual", action="store_true")
    options = parser.parse_args()
    results = []
    print(f"{'case':<38} {'used':>7} {'429s 1st min':>13} {'later':>6} {'fullest 60 s':>13} {'x usual':>8}")
    for case in CASES:
        if options.only not in case.name:
            continue
        if case.workers > 1 and not options.postgres:
            print(f"{case.name:<38} needs --postgres")
            continue
        ours = run(case, options.seconds, False, options.postgres if case.workers > 1 else "")
        usual = None if options.no_usual else run(case, options.seconds, True, "")
        ratio = f"{ours['tokens'] / usual['tokens']:.1f}" if usual and usual["tokens"] else ""
        print(f"{case.name:<38} {ours['share']:>7.1%} {ours['throttled_first_minute']:>13} "
              f"{ours['throttled_later']:>6} {ours['fullest_minute']:>13.1%} {ratio:>8}", flush=True)
        results.append({"case": case.name, "millrace": ours, "usual": usual})
    if options.json:
        text = json.dumps({"seconds": options.seconds, "cases": results}, indent=1)
        pathlib.Path(options.json).write_text(text)


if __name__ == "__main__":
    main()
