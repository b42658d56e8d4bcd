#!/usr/bin/env python3
"""How much of a quota is used, and whether it is ever exceeded.

    bench/quota_bench.py [--json PATH] [--seconds N] [--only WORD] [--at-once N] [--no-usual]

Against `millrace simulate`, which enforces a provider's rules and logs each decision: workers embed
documents of mixed sizes for N seconds (600) with more work than the quota allows. For each case: the share
of the granted tokens that was used, 429s in the first minute and after it (the minute after a change counts
as a first one), the fullest 60 s of the simulator's log whatever their alignment, and beside it, at the same
time, the same work by the field's usual worker: three calls at once, a pause of 200 ms, one document a call,
retries as the official client does them. Several worker processes share a queue over AMQP and the ledger in
PostgreSQL, which the benchmark starts itself.
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from typing import NamedTuple

from support import fleet

TOKENS_PER_MINUTE = 120_000
REQUESTS_PER_MINUTE = 600
WORDS = "water wheel mill race stone grain flour river sluice gate turning slowly under the old oak".split()


class Case(NamedTuple):
    name: str
    rule: tuple  # options of simulate
    settings: str = ""  # of the deployment
    workers: int = 1
    # Of the quota, on average. The minute that is full when the quota is halved drains for 30 s first, or
    # 60 s would hold more than the limit: (300 + 270 / 2) / 600.
    granted: float = 1.0
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
    Case("fixed, 4 processes", FIXED, ESTIMATE.format(10), workers=4),
    Case("fixed, halved in the middle", FIXED, ESTIMATE.format(10), granted=0.725, halved=True),
    Case("sliding, halved in the middle", SLIDING, granted=0.725, halved=True),
    Case("fixed, a third taken by another", (*FIXED, "--foreign", "0.33"), ESTIMATE.format(10), granted=0.67),
    Case("sliding, a third taken by another", (*SLIDING, "--foreign", "0.33"), granted=0.67),
]


def text_of(rng):
    """20 to 1,500 words: some 30 to 2,000 tokens."""
    return " ".join(rng.choices(WORDS, k=int(20 * 75 ** rng.random())))


class Feeder(threading.Thread):
    """Keeps work waiting, no more than `ahead` documents of it."""

    def __init__(self, servers, ahead):
        super().__init__(daemon=True)
        self.servers, self.ahead, self.ended, self.sent = servers, ahead, threading.Event(), 0

    def run(self):
        rng = random.Random(5)
        while not self.ended.is_set():
            if self.servers.backlog() < self.ahead:
                fleet.post_json(f"{self.servers.url}/v1/documents", [
                    {"id": f"d{self.sent + i}", "title": f"Document {self.sent + i}",
                     "content": f"{rng.random()} {text_of(rng)}"} for i in range(50)])
                self.sent += 50
            else:
                self.ended.wait(0.5)


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


def run(case, options, usual):
    with tempfile.TemporaryDirectory(prefix="millrace-quota-") as name, \
            fleet.Processes(options.program) as processes:
        folder = pathlib.Path(name)
        rule = list(case.rule)
        if case.halved:
            rule += ["--change", f"{options.seconds // 2}s:tpm={TOKENS_PER_MINUTE // 2}"]
        port = fleet.start_simulator(processes, folder, "--tpm", str(TOKENS_PER_MINUTE), "--rpm",
                                     str(REQUESTS_PER_MINUTE), "--latency", "200-2000", *rule)
        if usual:
            worker = UsualWorker(f"http://127.0.0.1:{port}")
        else:
            shared = case.workers > 1
            settings = (f"tokens_per_minute = {TOKENS_PER_MINUTE}\n"
                        f"requests_per_minute = {REQUESTS_PER_MINUTE}\n{case.settings}")
            servers = fleet.Fleet(processes, folder, fleet.deployment(port, settings),
                                  case.workers if shared else 0,
                                  fleet.start_postgres(processes, folder) if shared else "")
            worker = Feeder(servers, 400)
        worker.start()
        worker.ended.wait(options.seconds + 5)
        worker.ended.set()
        if options.logs:
            kept = pathlib.Path(options.logs) / (case.name.replace(" ", "_") + ("_usual" if usual else ""))
            shutil.copytree(folder, kept, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("serve", "work?", "postgres"))
        return measure(fleet.read_log(folder / "decisions"), options.seconds, case)


def line_of(case, ours, usual):
    ratio = f"{ours['tokens'] / usual['tokens']:.1f}" if usual and usual["tokens"] else ""
    late = f"{usual['throttled_later']}" if usual else ""
    return (f"{case.name:<38} {ours['share']:>7.1%} {ours['throttled_first_minute']:>13} "
            f"{ours['throttled_later']:>6} {ours['fullest_minute']:>13.1%} {ratio:>8} {late:>11}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--only", default="")
    parser.add_argument("--at-once", type=int, default=3, help="cases side by side")
    parser.add_argument("--no-usual", action="store_true")
    parser.add_argument("--program", default=str(fleet.PROGRAM), help="another build of millrace")
    parser.add_argument("--logs", default="", help="keep the logs in this folder")
    options = parser.parse_args()
    cases = [case for case in CASES if options.only in case.name]
    start = time.monotonic()
    results = []
    print(f"{'case':<38} {'used':>7} {'429s 1st min':>13} {'later':>6} {'fullest 60 s':>13} {'x usual':>8} "
          f"{'its 429s':>11}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(2 * options.at_once) as pool:
        def both(case):
            usual = None if options.no_usual else pool.submit(run, case, options, True)
            return run(case, options, False), usual and usual.result()

        with concurrent.futures.ThreadPoolExecutor(options.at_once) as at_once:
            running = {at_once.submit(both, case): case for case in cases}
            waiting = set(running)
            while waiting:
                done, waiting = concurrent.futures.wait(waiting, timeout=1)
                for one in done:
                    ours, usual = one.result()
                    print("\r" + line_of(running[one], ours, usual), flush=True)
                    results.append({"case": running[one].name, "millrace": ours, "usual": usual})
                print(f"\r{len(waiting)} of {len(cases)} cases left, {time.monotonic() - start:.0f} s ",
                      end="", file=sys.stderr)
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    if options.json:
        text = json.dumps({"seconds": options.seconds, "cases": results}, indent=1)
        pathlib.Path(options.json).write_text(text)


if __name__ == "__main__":
    main()
