#!/usr/bin/env python3
"""What crashes cost: tokens billed for every token that was needed, while workers are killed.

    bench/amplification_bench.py [--seconds 600] [--workers 4] [--every 5] [--latency 50-200] [--json PATH]

Workers embed documents and judge the sentiment of tasks, over AMQP and with their state in PostgreSQL,
against `millrace simulate`. Every few seconds one of them, each in its turn, is killed by SIGKILL and started
anew. In the end everything must have its one result, and the provider's books tell which texts were billed
twice. What was in flight at a kill can't be saved: with calls of L seconds and each worker killed every T
seconds that is L / T.
Exit codes: 0 as promised (at most 1.01), 1 not.
"""

import argparse
import collections
import json
import pathlib
import random
import sys
import tempfile
import time
import urllib.error

from support import fleet

WORDS = "water wheel mill race stone grain flour river sluice gate turning slowly under the old oak".split()
LOCK_SECONDS = 15
AMPLIFICATION_MAX = 1.01


def text_of(rng, most):
    """20 to 20 * `most` words."""
    return f"{rng.random()} " + " ".join(rng.choices(WORDS, k=int(20 * most ** rng.random())))


class Work:
    """Documents and tasks that were accepted."""

    def __init__(self, servers):
        self.servers, self.rng, self.documents, self.tasks = servers, random.Random(3), [], []

    def keep(self, ahead):
        """Accepts more while less than `ahead` wait."""
        if self.servers.backlog() >= ahead:
            return
        documents = [{"id": f"d{len(self.documents) + i}", "title": "A document",
                      "content": text_of(self.rng, 150)} for i in range(40)]
        tasks = [{"id": f"t{len(self.tasks) + i}", "type": "sentiment", "content": text_of(self.rng, 30)}
                 for i in range(40)]
        fleet.post_json(f"{self.servers.url}/v1/documents", documents)
        fleet.post_json(f"{self.servers.url}/v1/tasks", tasks)
        self.documents += [one["id"] for one in documents]
        self.tasks += [one["id"] for one in tasks]

    def outcomes(self):
        """How many documents and tasks ended how."""
        counts = collections.Counter()
        for kind, ids in (("documents", self.documents), ("tasks", self.tasks)):
            for one in ids:
                try:
                    counts[f"{kind} {fleet.get_json(f'{self.servers.url}/v1/{kind}/{one}')['status']}"] += 1
                except urllib.error.HTTPError as error:
                    counts[f"{kind} {error.code}"] += 1
        return counts


def run(options, folder, processes):
    postgres = fleet.start_postgres(processes, folder)
    port = fleet.start_simulator(processes, folder, "--latency", options.latency, "--tpm", str(options.tpm))
    # Each has a half: the simulator counts all tokens together.
    quota = f"tokens_per_minute = {options.tpm // 2}\n"
    deployments = (fleet.deployment(port, quota)
                   + fleet.deployment(port, quota, name="chat", model="gpt-4o-mini")
                   + '[[tasks]]\ntype = "sentiment"\ndeployment = "chat"\n')
    servers = fleet.Fleet(processes, folder, deployments, options.workers, postgres,
                          queues=("document-ingestion", "ai-tasks"), concurrency=options.concurrency,
                          lock_seconds=LOCK_SECONDS)
    work = Work(servers)
    start = time.monotonic()
    next_kill, kills = start + options.every, 0
    while time.monotonic() < start + options.seconds:
        work.keep(options.ahead)
        if time.monotonic() >= next_kill:
            servers.restart_worker(kills % options.workers)
            kills += 1
            next_kill += options.every
        print(f"\r{time.monotonic() - start:.0f} of {options.seconds} s, {kills} kills, "
              f"{len(work.documents) + len(work.tasks)} accepted   ", end="", file=sys.stderr)
        time.sleep(0.1)
    deadline = time.monotonic() + 300
    while servers.backlog() > 0 and time.monotonic() < deadline:
        print(f"\r{servers.backlog()} left" + " " * 40, end="", file=sys.stderr)
        time.sleep(0.5)
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    report = fleet.get_json(f"http://127.0.0.1:{port}/simulator/report")
    return {"seconds": options.seconds, "kills": kills, "accepted": len(work.documents) + len(work.tasks),
            "outcomes": work.outcomes(), "calls": report["calls"],
            "billed_tokens": report["billedTokens"]["total"], "needed_tokens": report["neededTokens"],
            "texts_billed_twice": report["inputs"]["repeated"], "amplification": report["amplification"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=5)
    parser.add_argument("--latency", default="50-200", help="of the provider, milliseconds")
    parser.add_argument("--tpm", type=int, default=1_200_000, help="tokens per minute, both models together")
    parser.add_argument("--concurrency", type=int, default=8, help="of each queue in each worker")
    parser.add_argument("--ahead", type=int, default=200, help="what is kept waiting")
    parser.add_argument("--program", default=str(fleet.PROGRAM))
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="millrace-amplification-") as name, \
            fleet.Processes(options.program) as processes:
        figures = run(options, pathlib.Path(name), processes)
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):20} {json.dumps(value)}")
    if options.json:
        options.json.write_text(json.dumps(figures) + "\n", encoding="utf-8")
    good = (figures["amplification"] <= AMPLIFICATION_MAX
            and set(figures["outcomes"]) == {"documents succeeded", "tasks succeeded"}
            and sum(figures["outcomes"].values()) == figures["accepted"])
    print("as promised" if good else "NOT as promised")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
