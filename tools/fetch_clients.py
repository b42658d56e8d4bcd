#!/usr/bin/env python3
"""Fetches what the tests with other people's clients need into build/clients; the product needs none of it.

    js         npm packages pinned by tests/clients/js/package-lock.json, a Node.js that runs them among them
    python     azure-servicebus for Python: Debian 13's package, unpacked; runs on Python 3.11 too
    rabbitmq   RabbitMQ and Erlang: the packages of this Debian release, unpacked; no service is installed

npm checks each package against the lock file's hash; apt checks each package against Debian's signatures,
with lists and caches of its own: nothing of the system changes and no root is needed. Running it again when
all is present does nothing. Exit codes: 0 all present, 1 could not fetch.
"""

import argparse
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from fetch_assets import ROOT, FetchError, Progress, reason_of

SECONDS_MAX = 600
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DIST_PACKAGES = "usr/lib/python3/dist-packages"
# Debian package -> what is taken of it. six, requests and websocket-client come from the system's packages.
PYTHON_PACKAGES = {
    "python3-azure": ["azure/core", "azure/servicebus"],
    "python3-isodate": ["isodate"],
    "python3-typing-extensions": ["typing_extensions.py"],
}


def run(command, label=None, **options):
    """Runs a command to its end, with a progress line if it has a label; returns what it printed."""
    progress = Progress(label) if label else None
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        start = time.monotonic()
        try:
            while process.poll() is None:
                if time.monotonic() - start > SECONDS_MAX:
                    raise FetchError(f"{command[0]} took longer than {SECONDS_MAX} s")
                if progress:
                    progress.tick()
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if progress:
                progress.end(process.returncode == 0)
        log.seek(0)
        text = log.read()
    if process.returncode != 0:
        raise FetchError(f"{' '.join(command[:2])}: {why(text)}; check the network")
    return text


def why(text):
    """The line of npm's or apt's output that says what went wrong."""
    errors = [line for line in text.splitlines() if line.startswith("E: ")]
    return errors[0].removeprefix("E: ")[:200] if errors else reason_of(text)


# ------------------------------------------------------------------------------------------ npm

def fetch_js(folder):
    if not shutil.which("npm"):
        raise FetchError("npm is not installed; install it (apt-get install npm) and run this again")
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(ROOT / "tests" / "clients" / "js" / name, folder / name)
    run(["npm", "ci", "--ignore-scripts", "--loglevel=error", "--prefer-offline"],
        "clients for Node.js (80 MB)", cwd=folder)
    programs = list(folder.glob("node_modules/node-linux-*/bin/node"))
    if not programs:
        raise FetchError(f"the packages hold a Node.js for x86-64 and arm64, none for {os.uname().machine}")
    programs[0].chmod(0o755)
    (folder / "node").symlink_to(programs[0].relative_to(folder))


def js_version():
    folder = ROOT / "tests" / "clients" / "js"
    return hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()


# ------------------------------------------------------------------------------------------ Debian

def release_name():
    match = re.search(r"^VERSION_CODENAME=(\w+)$", pathlib.Path("/etc/os-release").read_text(), re.M)
    return match.group(1) if match else "unknown"


class Apt:
    """apt for one suite of the configured mirror, with its lists and caches in a folder of its own."""

    def __init__(self, folder, suite, architectures=""):
        for name in ("state/lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        options = f"{architectures} signed-by={KEYRING}".strip()
        sources = folder / "sources.list"
        sources.write_text(f"deb [{options}] {mirror()} {suite} main\n", encoding="utf-8")
        settings = {
            "Dir::State": folder / "state", "Dir::Cache": folder / "cache",
            "Dir::State::status": "/dev/null", "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "/dev/null", "Acquire::Languages": "none", "Acquire::Retries": "3",
            "APT::Sandbox::User": "root",
        }
        self.folder = folder
        self.settings = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        self.run("apt-get", "update")

    def run(self, program, *arguments, label=None):
        return run([program, *self.settings, "-q", *arguments], label, cwd=self.folder)

    def with_dependencies(self, package, pattern):
        """`package` and those it depends on, at any depth, whose names match."""
        flags = [f"--no-{kind}" for kind in
                 ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")]
        text = self.run("apt-cache", "depends", "--recurse", *flags, package)
        return sorted({line for line in text.splitlines() if re.fullmatch(pattern, line)})

    def unpack(self, packages, label):
        """Downloads and unpacks the packages; returns the folder that stands for the root."""
        self.run("apt-get", "download", *packages, label=label)
        root = self.folder / "root"
        for package in sorted(self.folder.glob("*.deb")):
            run(["dpkg-deb", "--extract", str(package), str(root)])
        return root


def mirror():
    """Where this system gets its release from."""
    targets = run(["apt-get", "indextargets", "--no-release-info", "--format",
                   "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
    for line in targets.splitlines():
        uri, release, component = line.rsplit(" ", 2)
        if release in (release_name(), "stable", "oldstable") and component == "main":
            return uri
    raise FetchError("no mirror of this Debian release in /etc/apt")


def fetch_python(folder):
    with tempfile.TemporaryDirectory(prefix="millrace-clients-") as scratch:
        apt = Apt(pathlib.Path(scratch), "trixie", "arch=all")
        root = apt.unpack(PYTHON_PACKAGES, "client for Python (15 MB)")
        for part in (part for parts in PYTHON_PACKAGES.values() for part in parts):
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(root / DIST_PACKAGES / part, folder / part)


def fetch_rabbitmq(folder):
    with tempfile.TemporaryDirectory(prefix="millrace-clients-") as scratch:
        apt = Apt(pathlib.Path(scratch), release_name())
        packages = apt.with_dependencies("rabbitmq-server", r"erlang-[\w-]+|rabbitmq-server")
        root = apt.unpack(packages, "broker RabbitMQ (35 MB)")
        erl = root / "usr/lib/erlang/bin/erl"
        # The script knows its home as an absolute path: let it look where it is.
        text = erl.read_text(encoding="utf-8")
        here = '$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)'
        erl.write_text(text.replace("ROOTDIR=/usr/lib/erlang", f"ROOTDIR={here}"), encoding="utf-8")
        shutil.move(root / "usr/lib/erlang", folder / "erlang")
        servers = list(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*"))
        if len(servers) != 1:
            raise FetchError("Debian's rabbitmq-server holds its program where it isn't expected")
        shutil.move(servers[0], folder / "server")


# ------------------------------------------------------------------------------------------ all of it

def provide(folder, version, fetch):
    """Fetches into `folder` unless the version there is the one wanted; never leaves half of it there."""
    stamp = folder / ".version"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == version:
        return
    shutil.rmtree(folder, ignore_errors=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        fetch(partial)
        (partial / ".version").write_text(version, encoding="utf-8")
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


PARTS = {
    "js": (js_version, fetch_js),
    "python": (lambda: "trixie 1", fetch_python),
    "rabbitmq": (lambda: f"{release_name()} 1", fetch_rabbitmq),
}


def main():
    parser = argparse.ArgumentParser(description="Fetches clients and peers for the tests.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--to", type=pathlib.Path, default=ROOT / "build" / "clients",
                        help="default: build/clients")
    options = parser.parse_args()
    failed = False
    for name in options.parts or PARTS:
        if name not in PARTS:
            parser.error(f"no part {name}; there are {', '.join(PARTS)}")
        version, fetch = PARTS[name]
        try:
            provide(options.to / name, version(), fetch)
        except (FetchError, OSError) as error:
            failed = True
            print(f"fetch_clients: {name}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
