#!/usr/bin/env python3
"""Ingests thousands of real documents from Debian packages over HTTP and holds the product to its promises.

    bench/documents_bench.py --server build/release/millrace [--documents 2000] [--json PATH]

Every accepted document must end searchable or as a dead letter with a reason, and the counts add up;
ingesting the same documents again makes no provider call; changing one paragraph of one document embeds
only its own passages. The provider is `millrace simulate`, which counts what it is asked. Packages are
fetched with apt-get into build/bench/corpora, nothing is installed.
"""

import argparse
import concurrent.futures
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from typing import Callable

from support.fleet import free_port

PACKAGES = ["sqlite3-doc", "cmake-doc", "debian-policy", "developers-reference", "debian-faq", "git-doc"]
TYPES = {".html": "text/html", ".txt": "text/plain", ".md": "text/markdown", ".pdf": "application/pdf"}
BYTES_MAX = 4 << 20
CLIENTS = 16


def fetch(folder: str) -> str:
    """The folder with the packages' files; fetched once."""
    files = os.path.join(folder, "files")
    if os.path.isdir(files):
        return files
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for name in sorted(os.listdir(folder)):
        if name.endswith(".deb"):
            subprocess.run(["dpkg-deb", "-x", name, "unpacking"], cwd=folder, check=True)
    os.rename(os.path.join(folder, "unpacking"), files)
    return files


def choose(files: str, wanted: int) -> list[str]:
    """All PDFs and, by the hash of their path, as many of the rest as are wanted."""
    paths = []
    for place, _, names in os.walk(files):
        for name in names:
            path = os.path.join(place, name)
            known = os.path.splitext(name)[1] in TYPES and not os.path.islink(path)
            if known and os.path.getsize(path) <= BYTES_MAX:
                paths.append(path)
    def rank(path: str) -> tuple[bool, str]:
        return not path.endswith(".pdf"), hashlib.sha256(os.path.relpath(path, files).encode()).hexdigest()

    paths.sort(key=rank)
    if len(paths) < wanted:
        sys.exit(f"only {len(paths)} documents in the packages, {wanted} wanted")
    return paths[:wanted]


class Server:
    """A child process that serves HTTP."""

    def __init__(self, arguments: list[str], port: int, log: str):
        self.port = port
        self.process = subprocess.Popen(arguments, stdout=open(log, "ab"), stderr=subprocess.STDOUT)

    def request(self, method: str, path: str, body: bytes = b"", headers: dict | None = None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, path: str):
        status, body = self.request("GET", path)
        if status != 200:
            sys.exit(f"GET {path}: {status} {body[:200]!r}")
        return json.loads(body)

    def wait_ready(self, path: str) -> None:
        for _ in range(600):
            if self.process.poll() is not None:
                sys.exit("a server ended by itself; see its log")
            try:
                if self.request("GET", path)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        sys.exit("a server did not get ready")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def post(server: Server, document: str, content: bytes, kind: str) -> bool:
    path = "/v1/documents?id=" + urllib.parse.quote(document, safe="")
    while True:
        status, body = server.request("POST", path, content, {"Content-Type": kind})
        if status == 202:
            return True
        if status not in (429, 503):
            print(f"  not accepted: {document}: {status} {body[:120]!r}")
            return False
        time.sleep(0.2)


def ingest(server: Server, documents: dict[str, tuple[bytes, str]]) -> list[str]:
    """Posts all; the ids that were accepted."""
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        accepted = pool.map(lambda item: (item[0], post(server, item[0], *item[1])), documents.items())
        return [document for document, taken in accepted if taken]


def wait_ended(server: Server, ids: list[str]) -> dict[str, dict]:
    """The final state of every document; prints how far it is."""
    ended = {}
    waiting = list(ids)
    last = 0.0
    while waiting:
        still = []
        for document in waiting:
            view = server.json("/v1/documents/" + urllib.parse.quote(document, safe=""))
            if view["status"] in ("succeeded", "failed"):
                ended[document] = view
            else:
                still.append(document)
            if time.time() - last > 5:
                last = time.time()
                print(f"  {len(ended)} of {len(ids)} ended", flush=True)
        waiting = still
        time.sleep(0.1 if waiting else 0)
    return ended


def dead_letters(server: Server) -> int:
    return sum(queue["deadLettered"] for queue in server.json("/v1/queues")["queues"])


def check(holds: bool, what: str, problems: list[str]) -> None:
    print(("ok      " if holds else "BROKEN  ") + what)
    if not holds:
        problems.append(what)


def change_one_paragraph(content: bytes) -> bytes:
    middle = content.index(b"<p>", len(content) // 2)
    return content[: middle + 3] + b"A new sentence that no other document has. " + content[middle + 3 :]


def measure(server: Server, simulator: Server, documents: dict, problems: list[str]) -> dict:
    started = time.time()
    accepted = ingest(server, documents)
    first = wait_ended(server, accepted)
    seconds = time.time() - started
    searchable = [d for d, view in first.items() if view["status"] == "succeeded"]
    failed = {d: view.get("error", "") for d, view in first.items() if view["status"] == "failed"}
    for reason, count in Counter(str(error).split(":")[0] for error in failed.values()).items():
        print(f"  {count} dead letters: {reason}")
    for document, error in list(failed.items())[:12]:
        print(f"    {document}: {error}")
    check(len(accepted) == len(documents), f"{len(accepted)} of {len(documents)} accepted", problems)
    check(len(searchable) + len(failed) == len(accepted),
          f"{len(accepted)} accepted = {len(searchable)} searchable + {len(failed)} dead-lettered", problems)
    dead = dead_letters(server)
    check(dead == len(failed), f"{dead} dead letters for {len(failed)} failures", problems)
    check(all(failed.values()), "every dead letter has its reason", problems)
    calls = simulator.json("/stats")["calls"]
    chunks = sum(view["chunks"] for view in first.values())
    print(f"  {chunks} passages, {calls} provider calls, {len(accepted) / seconds:.1f} documents/s")

    again = {document: documents[document] for document in searchable}
    ended = wait_ended(server, ingest(server, again))
    check(all(view["status"] == "succeeded" for view in ended.values()), "all are searchable again", problems)
    repeated = simulator.json("/stats")["calls"] - calls
    check(repeated == 0, f"the same {len(again)} documents again made {repeated} provider calls", problems)

    changed = next(d for d in sorted(again) if d.endswith(".html") and first[d]["chunks"] >= 8)
    before = simulator.json("/stats")["inputs"]
    wait_ended(server, ingest(server, {changed: (change_one_paragraph(documents[changed][0]), "text/html")}))
    inputs = simulator.json("/stats")["inputs"] - before
    passages = first[changed]["chunks"]
    check(0 < inputs <= 3, f"one changed paragraph of {passages} passages embedded {inputs}", problems)
    return {"searchable": len(searchable), "dead_lettered": len(failed), "passages": chunks, "calls": calls,
            "calls_again": repeated, "inputs_of_a_changed_paragraph": inputs, "seconds": seconds}


def run(options: argparse.Namespace, measure_them: Callable, settings: str = "") -> list[str]:
    """Calls `measure_them` with real documents, and a server whose deployment has `settings`."""
    files = fetch(os.path.join("build/bench/corpora", "packages"))
    chosen = choose(files, options.documents)
    documents = {}
    for path in chosen:
        with open(path, "rb") as file:
            documents[os.path.relpath(path, files)] = (file.read(), TYPES[os.path.splitext(path)[1]])
    formats = Counter(os.path.splitext(path)[1][1:] for path in chosen)
    mebibytes = sum(len(content) for content, _ in documents.values()) >> 20
    print(f"{len(documents)} documents, {mebibytes} MiB: {dict(formats)}")
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        simulator_port, port = free_port(), free_port()
        config = os.path.join(scratch, "millrace.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'[[deployments]]\nname = "simulated"\nprovider = "openai"\n'
                       f'model = "text-embedding-3-small"\n{settings}'
                       f'endpoint = "http://127.0.0.1:{simulator_port}/v1"\ndimensions = 256\n')
        simulate = [options.server, "simulate", "--listen", f"127.0.0.1:{simulator_port}"]
        simulator = Server(simulate, simulator_port, os.path.join(scratch, "simulate.log"))
        server = Server([options.server, "serve", "--config", config, "--data", os.path.join(scratch, "data"),
                         "--listen", f"127.0.0.1:{port}", "--amqp", f"127.0.0.1:{free_port()}"],
                        port, os.path.join(scratch, "serve.log"))
        try:
            simulator.wait_ready("/healthz")
            server.wait_ready("/readyz")
            figures = measure_them(server, simulator, documents, problems)
        finally:
            server.stop()
            simulator.stop()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({**figures, "documents": len(documents), "problems": problems}, file)
    return problems


def main(description: str, measure_them: Callable, settings: str = "") -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
    parser.add_argument("--server", default="build/release/millrace")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--json")
    return 1 if run(parser.parse_args(), measure_them, settings) else 0


if __name__ == "__main__":
    sys.exit(main(__doc__, measure))
