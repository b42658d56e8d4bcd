#!/usr/bin/env python3
"""Known-item retrieval sets made from Debian, for `./dev bench search`.

    bench/corpora.py [man] [deb] [--out build/bench/corpora]

A set is a folder with `documents.jsonl` ({id, title, content, category}) and `queries.jsonl` ({query,
document}): each query describes one document, and is not part of it.

man  Manual pages of this machine, sections 1 to 8; those of `manpages` and `manpages-dev` are fetched if
     absent. The query is what the NAME section says about the page; the document is the page without
     that section. Pages that share a description are left out. At most 2,992 pages, chosen by the hash
     of their name.
deb  6,000 long descriptions of packages; the queries are the short descriptions of 2,000 of them. Chosen
     by the hash of the name from the package lists of the configured mirror.

Needs man-db, groff-base (or groff) and apt. Writes nothing outside the output folder.
"""

import argparse
import concurrent.futures
import gzip
import hashlib
import json
import lzma
import os
import re
import subprocess
import sys
from collections import Counter
from typing import Iterator, NamedTuple

MAN_PAGES_MAX = 2992
DEB_DOCUMENTS = 6000
DEB_QUERIES = 2000
DOCUMENT_CHARS_MIN = 100
RENDER_SECONDS_MAX = 60


class Item(NamedTuple):
    """A document and what describes it."""

    id: str
    title: str
    content: str
    category: str
    description: str


def hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def unambiguous(items: list[Item]) -> list[Item]:
    """Items whose description and content no other has, in the order of the hash of their id."""
    descriptions = Counter(item.description.lower() for item in items)
    contents = Counter(item.content for item in items)
    alone = [i for i in items if descriptions[i.description.lower()] == 1 and contents[i.content] == 1]
    return sorted(alone, key=lambda item: hashed(item.id))


def write(folder: str, items: list[Item], queries: int) -> None:
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "documents.jsonl"), "w", encoding="utf-8") as file:
        for item in items:
            document = {"id": item.id, "title": item.title, "content": item.content}
            document["category"] = item.category
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
    with open(os.path.join(folder, "queries.jsonl"), "w", encoding="utf-8") as file:
        for item in items[:queries]:
            query = {"query": item.description, "document": item.id}
            file.write(json.dumps(query, ensure_ascii=False) + "\n")
    print(f"{folder}: {len(items)} documents, {min(queries, len(items))} queries")


# ------------------------------------------------------------------------------------------ manual pages


def fetch_manual_packages(scratch: str) -> list[str]:
    """Folders with the pages of packages that this machine lacks."""
    if os.path.exists("/usr/share/man/man2/open.2.gz"):
        return []
    os.makedirs(scratch, exist_ok=True)
    for package in ("manpages", "manpages-dev"):
        subprocess.run(["apt-get", "download", package], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
    for name in sorted(os.listdir(scratch)):
        if name.endswith(".deb"):
            subprocess.run(["dpkg-deb", "-x", name, "files"], cwd=scratch, check=True)
    return [os.path.join(scratch, "files/usr/share/man")]


def manual_files(roots: list[str]) -> Iterator[str]:
    """Pages themselves: no links, and not the thousands of generated pages of one cloud's tool."""
    for root in roots:
        for section in "12345678":
            folder = os.path.join(root, "man" + section)
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
                path = os.path.join(folder, name)
                if not os.path.islink(path) and not name.startswith(("gcloud", "bq", "gsutil")):
                    yield path


def is_stub(path: str) -> bool:
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as file:
        return file.read(400).lstrip().startswith(b".so ")


def render(path: str) -> str:
    """The page as plain text, lines of a paragraph joined by the width alone."""
    environment = dict(os.environ, MANWIDTH="200", LC_ALL="C.UTF-8", MAN_KEEP_FORMATTING="")
    command = ["man", "--no-hyphenation", "--no-justification", "-P", "cat", "-l", path]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=RENDER_SECONDS_MAX)
    text = done.stdout.decode("utf-8", "replace")
    return re.sub(r".\x08|\x1b\[[0-9;]*m", "", text)


def manual_page(path: str) -> Item | None:
    if is_stub(path):
        return None
    try:
        text = render(path)
    except subprocess.TimeoutExpired:
        return None
    sections = [s for s in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if s.strip()]
    named = [s for s in sections if s.split("\n", 1)[0].strip().upper() in ("NAME", "NAMES")]
    if not named:
        return None
    line = " ".join(named[0].split("\n", 1)[1].split())
    match = re.match(r".{1,200}?\s[-\u2010-\u2014\u2212]+\s+(.+)", line)
    if not match or len(match.group(1)) < 10:
        return None
    # The first and the last section are the page's head and foot.
    content = "".join(s for s in sections[1:-1] if s is not named[0])
    content = re.sub(r"[ \t]+", " ", content).strip()
    if len(content) < DOCUMENT_CHARS_MIN:
        return None
    name, section = re.sub(r"\.gz$", "", os.path.basename(path)).rsplit(".", 1)
    return Item(f"{name}.{section}", f"{name}({section})", content, "man" + section[0], match.group(1))


def make_man(out: str) -> None:
    roots = ["/usr/share/man"] + fetch_manual_packages(os.path.join(out, "scratch-man"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        pages = {page.id: page for page in pool.map(manual_page, manual_files(roots)) if page}
    items = unambiguous(list(pages.values()))[:MAN_PAGES_MAX]
    write(os.path.join(out, "man"), items, len(items))


# ------------------------------------------------------------------------------------------ packages


def fetch_lists(scratch: str) -> list[str]:
    """Brings the English descriptions of all packages into a folder of their own; answers the files."""
    lists = os.path.abspath(os.path.join(scratch, "lists"))
    os.makedirs(os.path.join(lists, "partial"), exist_ok=True)
    options = [f"Dir::State::Lists={lists}", "Acquire::Languages=en", "APT::Sandbox::User=root",
               "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false"]
    command = ["apt-get", "-qq"] + [part for option in options for part in ("-o", option)] + ["update"]
    subprocess.run(command, check=True)
    return [os.path.join(lists, name) for name in sorted(os.listdir(lists)) if "_Translation-en" in name]


def lines_of(path: str) -> Iterator[str]:
    if path.endswith(".lz4"):
        text = subprocess.run(["lz4", "-dc", path], check=True, capture_output=True).stdout.decode()
        yield from text.splitlines()
        return
    opener = {"xz": lzma.open, "gz": gzip.open}.get(path.rsplit(".", 1)[-1], open)
    with opener(path, "rt", encoding="utf-8") as file:
        yield from (line.rstrip("\n") for line in file)


def descriptions(path: str) -> Iterator[Item]:
    """The stanzas of a Translation file (Debian repository format, "Translation indices")."""
    name, short, long = "", "", []
    for line in list(lines_of(path)) + [""]:
        if line.startswith("Package: "):
            name = line[9:]
        elif line.startswith("Description-en: "):
            short = line[16:]
        elif line.startswith(" ") and short:
            long.append("" if line == " ." else line[1:])
        elif not line and name:
            yield Item(name, name, "\n".join(long), "", short)
            name, short, long = "", "", []


def make_deb(out: str) -> None:
    found: dict[str, Item] = {}
    for path in fetch_lists(os.path.join(out, "scratch-deb")):
        for item in descriptions(path):
            if len(item.content) >= DOCUMENT_CHARS_MIN and len(item.description) >= 10:
                found.setdefault(item.id, item)
    chosen = sorted(found.values(), key=lambda item: hashed(item.id))
    items = unambiguous(chosen[: 2 * DEB_DOCUMENTS])[:DEB_DOCUMENTS]
    write(os.path.join(out, "deb"), items, DEB_QUERIES)


def main() -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("sets", nargs="*", choices=["man", "deb", []], help="default: both")
    parser.add_argument("--out", default="build/bench/corpora")
    arguments = parser.parse_args()
    makers = {"man": make_man, "deb": make_deb}
    for name in arguments.sets or makers:
        makers[name](arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
