#!/usr/bin/env python3
"""Runs `millrace batch run` over many lines, kills it several times, and counts who saw what.

    bench/batch_bench.py [--server build/release/millrace] [--lines 20000] [--kills 5] [--json PATH]

Every line must stand once in the results, and the provider, `millrace simulate`, must have been asked once
for each line but for those that were in flight at a kill; lines may share a request. Exit codes: 0 so it is,
1 it is not.
"""

import argparse
import collections
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

from support.fleet import free_port

CALLS_AT_ONCE = 64
LATENCY_MS = 20


def write_input(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        for number in range(1, lines + 1):
            request = {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/embeddings",
                       "body": {"model": "text-embedding-3-small", "input": f"text of line {number}",
                                "dimensions": 8}}
            file.write(json.dumps(request) + "\n")


def write_configuration(path, port, data):
    path.write_text(
        f'[server]\ndata_dir = {json.dumps(str(data))}\n[telemetry]\nlog_level = "warning"\n'
        f'[[deployments]]\nname = "default"\nprovider = "openai"\nendpoint = "http://127.0.0.1:{port}/v1"\n'
        f'model = "text-embedding-3-small"\nconcurrency = {CALLS_AT_ONCE}\n', encoding="utf-8")


def count_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def run_once(words, out, until, lines):
    """Kills the program once `until` lines have their result; without, lets it end. Its exit code."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        if until is None:
            return process.wait()
        while process.poll() is None and count_lines(out) < min(until, lines):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        return process.wait()


def measure(options, folder):
    port = free_port()
    log, out = folder / "provider.log", folder / "out.jsonl"
    write_input(folder / "in.jsonl", options.lines)
    write_configuration(folder / "millrace.toml", port, folder / "data")
    simulator = subprocess.Popen(
        [options.server, "simulate", "--listen", f"127.0.0.1:{port}", "--latency", str(LATENCY_MS),
         "--log", log], stdout=subprocess.PIPE)
    try:
        simulator.stdout.readline()
        words = [options.server, "batch", "run", folder / "in.jsonl", "--out", out, "--config",
                 folder / "millrace.toml"]
        chance = random.Random(options.seed)
        start = time.monotonic()
        for until in sorted(chance.sample(range(1, options.lines), options.kills)):
            run_once(words, out, until, options.lines)
        code = run_once(words, out, None, options.lines)
        seconds = time.monotonic() - start
    finally:
        simulator.terminate()
        simulator.communicate()
    ids = collections.Counter(json.loads(line)["custom_id"] for line in out.read_text().splitlines())
    calls = [json.loads(line)["inputs"] for line in log.read_text().splitlines()]
    asked = sum(len(inputs) for inputs in calls)
    return {
        "lines": options.lines, "kills": options.kills, "exit_code": code, "seconds": round(seconds, 1),
        "results": sum(ids.values()), "lines_with_one_result": sum(1 for n in ids.values() if n == 1),
        "provider_calls": len(calls), "repeated_lines": asked - options.lines,
        "repeated_lines_allowed": options.kills * CALLS_AT_ONCE,
        "lines_per_second": round(options.lines / seconds),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--server", type=pathlib.Path, default=pathlib.Path("build/release/millrace"))
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="millrace-batch-") as scratch:
        figures = measure(options, pathlib.Path(scratch))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):24} {value:>10}")
    if options.json:
        options.json.write_text(json.dumps(figures) + "\n", encoding="utf-8")
    single = figures["results"] == figures["lines_with_one_result"] == options.lines
    good = (figures["exit_code"] == 0 and single
            and 0 <= figures["repeated_lines"] <= figures["repeated_lines_allowed"])
    print("as promised" if good else "NOT as promised")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
