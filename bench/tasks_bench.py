#!/usr/bin/env python3
"""How long an interactive task takes beside work that may wait.

    bench/tasks_bench.py [--batch 100000] [--tasks 300] [--json PATH]

A server whose calls go to `millrace simulate`, a fixed time each and so many at once. Measured from POST to
the end of the task: alone; while 100,000 batch tasks wait; while a batch file of 100,000 lines is worked on;
and the first task of tenant B while tenant A has 10,000 waiting. Exit codes: 0 as promised, 1 not: the 99th
percentile beside batch work is a call's time and 100 ms more at most, and B waits for one call of A at most.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import threading
import time

from support import fleet

CALL_MS = 300
CALLS_AT_ONCE = 16
PAUSE_SECONDS = 0.1


def task(name, tenant="", priority="interactive"):
    return {"id": name, "type": "sentiment", "content": f"The wheel {name} turns again. Thank you!",
            "priority": priority, **({"tenant": tenant} if tenant else {})}


def seconds_of(url, one):
    """From POST to the end of the task."""
    start = time.monotonic()
    accepted = fleet.post_json(f"{url}/v1/tasks", one)
    operation = {"status": "running"}
    while operation["status"] not in ("succeeded", "failed"):
        operation = fleet.get_json(f"{url}/v1/operations/{accepted['operation']}?wait=30", timeout=60)
    if operation["status"] != "succeeded":
        raise SystemExit(f"a task failed: {operation}")
    return time.monotonic() - start


def probe(url, name, count, tenant=""):
    """Interactive tasks, one begun every PAUSE_SECONDS; sorted seconds."""
    results, threads = [], []
    for number in range(count):
        one = threading.Thread(target=lambda at=number: results.append(
            seconds_of(url, task(f"{name}-{at}", tenant))))
        one.start()
        threads.append(one)
        time.sleep(PAUSE_SECONDS)
        print(f"\r{name}: {number + 1} of {count} ", end="", file=sys.stderr)
    for one in threads:
        one.join()
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    return sorted(results)


def fill(url, name, count, **more):
    """Accepts `count` tasks."""
    for first in range(0, count, 1000):
        fleet.post_json(f"{url}/v1/tasks", [task(f"{name}-{at}", **more)
                                            for at in range(first, min(first + 1000, count))])


def start_batch(url, count):
    lines = "".join(json.dumps({"custom_id": str(at), "method": "POST", "url": "/v1/chat/completions",
                                "body": {"model": "gpt-4o-mini", "max_tokens": 20,
                                         "messages": [{"role": "user", "content": f"line {at}"}]}}) + "\n"
                    for at in range(count))
    boundary = "a-boundary-of-the-benchmark"
    form = (f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="lines.jsonl"\r\n'
            f'Content-Type: application/jsonl\r\n\r\n{lines}\r\n--{boundary}--\r\n')
    request = fleet.urllib.request.Request(f"{url}/v1/files", form.encode(),
                                           {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    with fleet.urllib.request.urlopen(request, timeout=120) as answer:
        file = json.load(answer)["id"]
    batch = fleet.post_json(f"{url}/v1/batches", {"input_file_id": file, "endpoint": "/v1/chat/completions",
                                                  "completion_window": "24h"})
    while batch["status"] != "in_progress":
        time.sleep(0.2)
        batch = fleet.get_json(f"{url}/v1/batches/{batch['id']}")


def serve(options, folder, processes):
    folder.mkdir()
    port = fleet.start_simulator(processes, folder, "--latency", str(CALL_MS))
    settings = f"concurrency = {CALLS_AT_ONCE}\n"
    return fleet.Fleet(processes, folder, fleet.deployment(port, settings, model="gpt-4o-mini")).url


def run(options, folder, processes):
    cases = {}
    url = serve(options, folder / "alone", processes)
    cases["alone"] = probe(url, "alone", options.tasks)
    fill(url, "waiting", options.batch, priority="batch")
    cases[f"beside {options.batch:,} batch tasks"] = probe(url, "tasks", options.tasks)
    url = serve(options, folder / "file", processes)
    start_batch(url, options.batch)
    cases[f"beside a batch of {options.batch:,} lines"] = probe(url, "lines", options.tasks)
    url = serve(options, folder / "tenants", processes)
    fill(url, "a", options.tenant, tenant="a")
    cases[f"tenant B beside {options.tenant:,} tasks of A"] = probe(url, "b", 20, "b")
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--batch", type=int, default=100_000)
    parser.add_argument("--tenant", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--program", default=str(fleet.PROGRAM))
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="millrace-tasks-") as name, \
            fleet.Processes(options.program) as processes:
        cases = run(options, pathlib.Path(name), processes)
    print(f"calls of {CALL_MS} ms, {CALLS_AT_ONCE} at once; milliseconds")
    print(f"{'':38} {'p50':>7} {'p99':>7} {'most':>7}")
    figures = {}
    for name, seconds in cases.items():
        p99 = seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))]
        figures[name] = [round(1000 * one) for one in (statistics.median(seconds), p99, seconds[-1])]
        print(f"{name:38} {figures[name][0]:>7} {figures[name][1]:>7} {figures[name][2]:>7}")
    if options.json:
        options.json.write_text(json.dumps(figures) + "\n", encoding="utf-8")
    beside = [figures[name] for name in figures if name.startswith("beside")]
    tenant = [figures[name] for name in figures if name.startswith("tenant")]
    good = (all(one[1] <= CALL_MS + 100 for one in beside)
            and all(one[2] <= 2 * CALL_MS + 100 for one in tenant))
    print("as promised" if good else "NOT as promised")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
