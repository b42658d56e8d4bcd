#!/usr/bin/env python3
"""House style as a test: reads the tree, prints one line per finding, exits 1 if there is any.

    tools/tidy.py [ROOT]

What a compiler can't see and a reviewer shouldn't have to: grain (lines, functions, files), the layers of
src/LAYERS, banned calls with their replacement, dead files, the coroutine rule of CONTRIBUTING.md, links.
A finding reads `file:line: what; what to do instead`.
"""

import ast
import os
import re
import sys
from typing import Iterator, NamedTuple

LINE_CHARS_MAX = 110
FILE_LINES_MAX = 499
FUNCTION_LINES_MAX = 69

FOLDERS = ("src", "tests", "bench", "fuzz", "tools", "cmake", "docs", "packaging", "samples", "examples",
           ".ci")
SKIPPED = {"build", "fixtures", "corpus", "__pycache__", "node_modules"}
CODE = (".cpp", ".hpp", ".py", ".js", ".sql", ".cmake", ".txt")
TEXT = CODE + (".md", ".toml", ".service", ".sh", ".json")


class Finding(NamedTuple):
    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


class Tree:
    """The text files of the project: path from the root -> content. Tests build one from a dictionary."""

    def __init__(self, files: dict[str, str], others: frozenset[str] = frozenset()):
        self.files = files
        self.paths = set(files) | others
        self.folders = {folder for path in self.paths for folder in parents(path)}

    def exists(self, path: str) -> bool:
        return path in self.paths or path.rstrip("/") in self.folders

    def cpp(self, *folders: str) -> Iterator[tuple[str, str]]:
        for path, text in self.files.items():
            if path.endswith((".cpp", ".hpp")) and path.split("/")[0] in folders:
                yield path, text


def parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def read_tree(root: str) -> Tree:
    files: dict[str, str] = {}
    others: set[str] = set()
    names = [os.path.join(root, name) for name in os.listdir(root)]
    for folder in FOLDERS:
        for where, folders, found in os.walk(os.path.join(root, folder)):
            folders[:] = [name for name in folders if name not in SKIPPED]
            others.update(os.path.relpath(os.path.join(where, name), root) for name in folders)
            names += [os.path.join(where, name) for name in found]
    for name in filter(os.path.isfile, names):
        path = os.path.relpath(name, root)
        if is_text(path):
            with open(name, encoding="utf-8", newline="") as file:
                files[path] = file.read()
        else:
            others.add(path)
    return Tree(files, frozenset(others))


def is_text(path: str) -> bool:
    if path.startswith("samples/") and path != "samples/README.md":
        return False
    return path.endswith(TEXT) or path in ("dev", ".ci/run", "src/LAYERS")


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


# ------------------------------------------------------------------------------------------ reading C++

LITERAL = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^()\s\\]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
LABELS = re.compile(r"\s*(?:(?:public|private|protected)\s*:(?!:)\s*)*")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def blank(match: re.Match) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def code_of(text: str) -> str:
    """`text` with comments, literals and directives as spaces: every offset stays what it was."""
    return DIRECTIVE.sub(blank, LITERAL.sub(blank, text))


def functions_of(code: str) -> Iterator[tuple[int, int]]:
    """(first line, last line) of each outermost function body in code without comments and literals."""
    scopes: list[tuple[str, int]] = []
    head_start, kind = 0, ""
    for match in re.finditer(r"[{};]", code):
        inside = next((kind for kind, _ in reversed(scopes) if kind != "scope"), "scope")
        if match.group() == "{":
            head = code[head_start : match.start()]
            kind = inside if inside in ("function", "init") else kind_of(head, inside)
            scopes.append((kind, head_start + LABELS.match(head).end()))
        elif match.group() == "}" and scopes:
            kind, start = scopes.pop()
            outer = any(kind == "function" for kind, _ in scopes)
            if kind == "function" and not outer:
                yield line_of(code, start), line_of(code, match.end())
        if inside != "init" and (kind != "init" or match.group() == ";"):
            head_start = match.end()


def kind_of(head: str, inside: str) -> str:
    """What a brace after `head` opens: function, init (still a part of the head), scope, or data."""
    if re.search(r"\]\s*(\([^()]*\))?[\s\w]*(->[^{]*)?$", head) and "=" in head:
        return "function"  # a lambda that is bound to a name
    if inside == "data":
        return "data"
    head = re.sub(r"template\s*<[^{}]*?>\s*(?=\w)", "", head)
    head = re.sub(r"\[\[.*?\]\]", "", head[LABELS.match(head).end() :]).strip()
    if re.match(r"((inline|typedef|static)\s+)*(namespace|class|struct|union|enum|extern)\b", head):
        return "scope"
    if head.count("(") > head.count(")") or re.search(r"\)[\s\w]*:(?!:)[^{]*\w$", head):
        return "init"
    before_body = re.sub(r"\([^()]*\)", "()", re.sub(r"operator\s*=+", "operator", head))
    if "(" not in head or re.search(r"(?<![=!<>])=(?!=)", before_body.partition("(")[0]):
        return "data"
    return "function"


# ------------------------------------------------------------------------------------------ grain

MACHINE_PATH = re.compile(r"(?<![\w.:/}*])/(?:home|root|Users|work)/\w")
MARKER = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")


def raw_literal_lines(text: str) -> set[int]:
    """The lines that hold a part of a raw string: data that can't be broken."""
    lines: set[int] = set()
    for match in LITERAL.finditer(text):
        if match.group().startswith("R"):
            lines.update(range(line_of(text, match.start()), line_of(text, match.end()) + 1))
    return lines


def check_text(path: str, text: str) -> Iterator[Finding]:
    if text and not text.endswith("\n"):
        yield Finding(path, line_of(text, len(text)), "no newline at the end; add one")
    data = raw_literal_lines(text) if path.endswith((".cpp", ".hpp")) else set()
    for number, line in enumerate(text.split("\n"), 1):
        if "\r" in line:
            yield Finding(path, number, "carriage return; end lines with a line feed")
        if "\t" in line:
            yield Finding(path, number, "tab; indent with spaces")
        if line.endswith(" "):
            yield Finding(path, number, "space at the end of the line; remove it")
        if len(line) > LINE_CHARS_MAX and number not in data and not path.endswith((".md", ".json")):
            yield Finding(path, number, f"{len(line)} columns; break it at {LINE_CHARS_MAX}")
        if MACHINE_PATH.search(line):
            yield Finding(path, number, "a path of one machine; make it relative")
        if MARKER.search(line) and path != "tools/tidy.py":
            yield Finding(path, number, "a mark for later; do it now or drop it")
    lines = text.count("\n")
    if lines > FILE_LINES_MAX and path.endswith((".cpp", ".hpp", ".py")):
        yield Finding(path, lines, f"{lines} lines; split it below {FILE_LINES_MAX + 1}")


def check_functions(path: str, spans: Iterator[tuple[int, int]]) -> Iterator[Finding]:
    for first, last in spans:
        lines = last - first + 1
        if lines > FUNCTION_LINES_MAX:
            yield Finding(path, first, f"function of {lines} lines; split it below {FUNCTION_LINES_MAX + 1}")


def python_functions(path: str, text: str) -> Iterator[Finding]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(text, path)) if isinstance(node, kinds)]
    return check_functions(path, ((node.lineno, node.end_lineno or 0) for node in nodes))


def check_header(path: str, text: str) -> Iterator[Finding]:
    first = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL).strip().partition("\n")[0]
    if first.strip() != "#pragma once":
        yield Finding(path, 1, "the first line of code isn't `#pragma once`; move it there")


# ------------------------------------------------------------------------------------------ layers

OWNED_INCLUDES = {"sqlite3.h": "store", "libpq-fe.h": "store"}
GENERATED = {"migrations.hpp", "migrations_postgres.hpp"}
SANS_IO = re.compile(r"src/amqp/(codec|connection)[/._]|_protocol\.[ch]pp$")
SOCKETS = re.compile(r"boost/(asio|beast)|sys/socket\.h|netinet/")


def parse_layers(text: str) -> dict[str, set[str]]:
    layers: dict[str, set[str]] = {}
    for line in text.split("\n"):
        name, colon, lower = line.partition(":")
        if colon and not name.startswith("#"):
            layers[name.strip()] = set(layers) if lower.strip() == "everything" else set(lower.split())
    return layers


def check_layers(tree: Tree) -> Iterator[Finding]:
    layers = parse_layers(tree.files.get("src/LAYERS", ""))
    known: set[str] = set()
    for number, (name, lower) in enumerate(layers.items(), 1):
        for layer in sorted(lower - known):
            what = f"{name} names {layer}, which isn't below it; layers have no cycles"
            yield Finding("src/LAYERS", number, what)
        known.add(name)
    yield from check_cmake(tree, layers)
    for path, text in tree.cpp("src"):
        layer = path.split("/")[1] if path.count("/") > 1 else "app"
        if layer not in layers:
            yield Finding(path, 1, f"folder {layer} isn't in src/LAYERS; add it with what it may include")
            continue
        for match in INCLUDE.finditer(text):
            what = check_include(path, layer, layers[layer], match.group(1), match.group(2))
            if what:
                yield Finding(path, line_of(text, match.start()), what)


def check_include(path: str, layer: str, lower: set[str], quote: str, target: str) -> str:
    if OWNED_INCLUDES.get(target, layer) != layer:
        return f"{layer} includes {target}; only {OWNED_INCLUDES[target]} may, go through it"
    if SANS_IO.search(path) and SOCKETS.search(target):
        return f"a protocol includes {target}; it takes bytes and gives actions, sockets live elsewhere"
    if quote == "<" or target in GENERATED:
        return ""
    if "/" not in target or target.startswith("."):
        return f'include "{target}"; write it from src/: "{layer}/{os.path.basename(target)}"'
    folder = target.split("/")[0]
    if folder != layer and folder not in lower:
        return f"{layer} includes {folder}; src/LAYERS allows: {' '.join(sorted(lower)) or 'nothing'}"
    return ""


def check_cmake(tree: Tree, layers: dict[str, set[str]]) -> Iterator[Finding]:
    """What a layer links must be what src/LAYERS lets it include."""
    text = tree.files.get("CMakeLists.txt", "")
    declaration = re.compile(r"^millrace_layer\((\w+)(?:\s+DEPENDS\s+([\w\s]*?))?(?:\s+LINK\s[^)]*)?\)", re.M)
    for match in declaration.finditer(text):
        name, depends = match.group(1), set((match.group(2) or "").split())
        for layer in sorted(depends - layers.get(name, set())):
            what = f"{name} links {layer}, which src/LAYERS doesn't allow; change both or neither"
            yield Finding("CMakeLists.txt", line_of(text, match.start()), what)


def check_dead(tree: Tree) -> Iterator[Finding]:
    """Headers that no other file includes, and test folders that no program is built from."""
    included: dict[str, set[str]] = {}
    for path, text in tree.cpp("src", "tests", "bench", "fuzz"):
        for match in INCLUDE.finditer(text):
            target = match.group(2)
            included.setdefault(target, set()).add(path)
            beside = os.path.normpath(os.path.join(os.path.dirname(path), target))
            included.setdefault(beside, set()).add(path)
    for path, _ in tree.cpp("src", "tests", "bench", "fuzz"):
        users = included.get(path, set()) | included.get(path.removeprefix("src/"), set())
        if path.endswith(".hpp") and not users - {path, path[:-4] + ".cpp"}:
            yield Finding(path, 1, "a header that no other file includes; use it or remove it")
    areas = set(re.findall(r"^millrace_test\((\w+)", tree.files.get("tests/CMakeLists.txt", ""), re.M))
    for path, _ in tree.cpp("tests"):
        if path.count("/") > 1 and path.endswith("_test.cpp") and path.split("/")[1] not in areas:
            yield Finding(path, 1, "a test that is never built; add its area to tests/CMakeLists.txt")


# ------------------------------------------------------------------------------------------ banned calls

CALL = r"(?<![\w.>:])(?:std::|::)?"


class Ban(NamedTuple):
    pattern: str
    instead: str
    folders: tuple[str, ...] = ("src", "tests", "bench", "fuzz")
    allowed: tuple[str, ...] = ()


BANS = [
    Ban(CALL + r"(?:system|popen)\s*\(", "start the program with an argument list (posix_spawn)"),
    Ban(CALL + r"(?:strcpy|strcat|sprintf|vsprintf|gets)\s*\(", "use std::string, fmt or snprintf"),
    Ban(CALL + r"(?:atoi|atol|atoll|atof|strtok)\s*\(", "use std::from_chars, which reports bad input"),
    Ban(r"\bstd::sto(?:i|l|ll|ul|ull|f|d)\s*\(", "use std::from_chars, which reports bad input", ("src",)),
    Ban(CALL + r"s?rand\s*\(", "use base/ids.hpp, or std::mt19937 with a seed in tests"),
    Ban(r"\bthis_thread::sleep_(?:for|until)\b|" + CALL + r"(?:usleep|nanosleep|sleep)\s*\(",
        "wait on a signal, or turn a ManualClock", ("src", "tests")),
    Ban(CALL + r"(?:gmtime|localtime|ctime|asctime)\s*\(", "use to_rfc3339 of base/clock.hpp"),
    Ban(r"\bstd::(?:cout|cerr|clog|endl|puts)\b|" + CALL + r"printf\s*\(", "log through telemetry", ("src",),
        ("src/app/",)),
    Ban(r"\busing\s+namespace\s+std\s*;", "write std::"),
    Ban(r"\bstd::regex\b", "use PCRE2 or a small parser: std::regex overflows the stack on long input"),
    Ban(r"\bstd::(?:async|jthread)\b|\bstd::thread\b(?!::)", "use CpuPool of base/async.hpp", ("src",),
        ("src/base/", "src/store/", "src/app/")),
    Ban(r"\bsystem_clock::now\s*\(|" + CALL + r"time\s*\(\s*(?:nullptr|NULL|0)\s*\)",
        "ask the Clock that was passed in", ("src",), ("src/base/",)),
    Ban(r"\basio::detached\b", "use spawn of base/async.hpp, which doesn't lose exceptions", ("src",)),
    Ban(CALL + r"(?:secure_)?getenv\s*\(", "take it as configuration; only app reads the environment",
        ("src",), ("src/app/", "src/text/subprocess.cpp")),
    Ban(CALL + r"(?:exit|_exit|quick_exit|terminate)\s*\(", "return an error; only app ends the process",
        ("src",), ("src/app/",)),
    Ban(r"\bDISABLED_\w+", "repair the test or remove it", ("tests",)),
    Ban(r"\bcatch\s*\([^)]*\)\s*\{\s*\}", "handle it, or return what went wrong", ("src",)),
]
COMPILED = [(re.compile(ban.pattern), ban) for ban in BANS]


def check_bans(path: str, text: str, code: str) -> Iterator[Finding]:
    folder = path.split("/")[0]
    for pattern, ban in COMPILED:
        if folder not in ban.folders or path.startswith(ban.allowed):
            continue
        for match in pattern.finditer(code):
            if "//" in text[match.start() : match.end()]:
                continue  # an empty catch block that says why
            name = re.sub(r"\s+", " ", match.group()).rstrip(" (")
            yield Finding(path, line_of(text, match.start()), f"banned: {name}; {ban.instead}")


# ------------------------------------------------------------------------------------------ coroutines

def check_coroutines(path: str, code: str) -> Iterator[Finding]:
    """GCC 12 destroys a braced temporary or a lambda inside a co_await expression twice."""
    reported = -1
    for match in re.finditer(r"\bco_await\b", code):
        if match.start() < reported:
            continue
        what, end = judge_await(code, match.end())
        if what:
            reported = end
            yield Finding(path, line_of(code, match.start()), what)


def judge_await(code: str, start: int) -> tuple[str, int]:
    """What is wrong with the expression after a co_await ("" if nothing), and where the expression ends."""
    depth, what = 0, ""
    for match in re.finditer(r"[()\[\]{};]|\bco_await\b", code[start:]):
        token, where = match.group(), start + match.start()
        if token == "co_await":
            what = what or "two co_await in one statement; bind the first result to a name"
        elif token == "{":
            what = what or brace_fault(code[start:where])
        if token in "([{":
            depth += 1
        elif token in ")]}":
            depth -= 1
        if depth < 0 or (token == ";" and depth == 0):
            return what, where
    return what, len(code)


def brace_fault(before: str) -> str:
    if re.search(r"(?<![\w\])])\s*\[[^\[\]]*\]\s*(\([^()]*\))?[^,;()]*$", before):
        return "a lambda inside co_await; give it a name in a statement before"
    return "a braced temporary inside co_await; give it a name in a statement before"


# ------------------------------------------------------------------------------------------ documentation

LINK = re.compile(r"\]\(([^()\s]+)\)")
MENTION = re.compile(r"`((?:src|tests|tools|docs|bench|fuzz|samples|cmake|packaging|examples)/[\w./-]+)`")


def headings(text: str) -> set[str]:
    """The anchors that GitHub makes of the headings of a page."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def check_docs(tree: Tree, path: str, text: str) -> Iterator[Finding]:
    for match in LINK.finditer(text):
        target, _, anchor = match.group(1).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        where = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        if not tree.exists(where):
            what = f"broken link {target}; link a file that exists"
            yield Finding(path, line_of(text, match.start()), what)
        elif anchor and where.endswith(".md") and anchor not in headings(tree.files[where]):
            what = f"no heading #{anchor} in {where}; correct the link"
            yield Finding(path, line_of(text, match.start()), what)
    for match in MENTION.finditer(text):
        if not tree.exists(match.group(1)):
            what = f"mentions {match.group(1)}, which doesn't exist; correct it"
            yield Finding(path, line_of(text, match.start()), what)


# ------------------------------------------------------------------------------------------ all of it

def check_tree(tree: Tree) -> list[Finding]:
    findings = [*check_layers(tree), *check_dead(tree)]
    for path, text in tree.files.items():
        findings += check_text(path, text)
        if path.endswith(".py"):
            findings += python_functions(path, text)
        if path.endswith(".md"):
            findings += check_docs(tree, path, text)
        if path.endswith(".hpp") and not path.startswith("cmake/"):
            findings += check_header(path, text)
        if path.endswith((".cpp", ".hpp")):
            code = code_of(text)
            findings += check_functions(path, functions_of(code))
            findings += check_bans(path, text, code)
            findings += check_coroutines(path, code)
    return sorted(set(findings))


def main(arguments: list[str]) -> int:
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    findings = check_tree(read_tree(root))
    for finding in findings:
        print(finding)
    if findings:
        print(f"{len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
