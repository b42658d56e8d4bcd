#!/usr/bin/env python3
"""tools/tidy.py finds what it promises to find, and nothing in code that is right."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))

import tidy  # noqa: E402

LAYERS = "# lowest first\nbase:\nstore: base\nbroker: base store\napp: everything\n"
USER = '#include "base/a.hpp"\n'


def findings(files: dict[str, str]) -> list[str]:
    files = {"src/LAYERS": LAYERS, **files}
    return [str(finding) for finding in tidy.check_tree(tidy.Tree(files))]


def source(body: str, path: str = "src/broker/x.cpp") -> list[str]:
    return findings({path: body})


class Grain(unittest.TestCase):
    def test_finds_what_is_wrong_in_a_line(self):
        cases = {
            "int a;\t\n": "tab",
            "int a; \n": "space at the end",
            "int a;": "no newline",
            "int a;\r\n": "carriage return",
            "int " + "a" * 110 + ";\n": "115 columns",
            "// TO" + "DO: later\n": "a mark for later",
            'auto path = "/ho' + 'me/someone/x";\n': "a path of one machine",
        }
        for text, expected in cases.items():
            self.assertRegex("\n".join(source(text)), expected)

    def test_is_silent_on_code_that_is_right(self):
        text = 'int a = 1\'000\'000;\nauto b = "src/work/x.hpp";\n// home/user of http://example.org/work/x\n'
        self.assertEqual(source(text), [])

    def test_leaves_raw_strings_as_long_as_they_are(self):
        long = "x" * 120
        self.assertEqual(source(f'auto a = R"({long}\n{long})";\n'), [])
        self.assertRegex("\n".join(source(f'auto a = R"(x)";\n// {long}\n')), "x.cpp:2: 123 columns")

    def test_names_file_line_and_what_to_do(self):
        self.assertEqual(
            source("int a;\nint b; \n"),
            ["src/broker/x.cpp:2: space at the end of the line; remove it"],
        )

    def test_limits_the_length_of_files(self):
        self.assertEqual(source("int a;\n" * 499), [])
        self.assertRegex("\n".join(source("int a;\n" * 500)), "500 lines; split it below 500")

    def test_headers_begin_with_pragma_once(self):
        user = {"src/app/main.cpp": USER}
        right = "// What it is.\n#pragma once\n\nint a;\n"
        self.assertEqual(findings({"src/base/a.hpp": right, **user}), [])
        for wrong in ("int a;\n#pragma once\n", "#ifndef A\n#define A\n#endif\n"):
            self.assertRegex("\n".join(findings({"src/base/a.hpp": wrong, **user})), "#pragma once")


def function(lines: int, head: str = "void f() {") -> str:
    return head + "\n" + "    g();\n" * (lines - 2) + "}\n"


class Functions(unittest.TestCase):
    HEADS = (
        "void f() {",
        "template <class T>\nX<T> f(const T& a) noexcept {",
        "Result<int> A::f(int a, std::function<void()> b) const {",
        "A::A(int a) : a_(a), b_{1} {",
        "bool operator==(const A& a, const A& b) {",
        "TEST(Area, DoesThings) {",
        "auto f = [](int a) {",
        "asio::awaitable<Result<int>> f(std::span<const int> a = {}) {",
    )

    def test_are_measured_whatever_their_form(self):
        for head in self.HEADS:
            extra = head.count("\n")
            self.assertEqual(source(function(69 - extra, head)), [], head)
            self.assertRegex("\n".join(source(function(75, head))), "function of 7\\d lines", head)

    def test_are_found_inside_classes_and_namespaces(self):
        begin = "namespace a {\nclass B : public C {\n  public:\n    explicit B(int a)\n"
        text = begin + function(80, "    {") + "};\n}\n"
        self.assertRegex("\n".join(source(text)), "x.cpp:4: function of 81 lines")

    def test_are_not_classes_or_tables(self):
        many = "    int a = 1;\n" * 100
        rows = "    {1, f(2)},\n" * 100
        cases = (
            "struct A {\n" + many + "};\n",
            "enum class A {\n" + "    a,\n" * 100 + "};\n",
            "const Row rows[] = {\n" + rows + "};\n",
            "constexpr std::array<Row, 100> rows = {{\n" + rows + "}};\n",
            "namespace {\n" + many + "}\n",
        )
        for text in cases:
            self.assertEqual(source(text), [], text[:30])

    def test_braces_in_literals_and_comments_do_not_count(self):
        text = "void f() {\n    g('{', \"{\", R\"x({{{)x\");  // {\n    /* { */\n}\n" + "int a;\n" * 100
        self.assertEqual(source(text), [])

    def test_are_measured_in_python_too(self):
        text = "def f():\n" + "    g()\n" * 80
        self.assertRegex("\n".join(findings({"tools/x.py": text})), "tools/x.py:1: function of 81 lines")


class Layers(unittest.TestCase):
    def test_allow_only_what_the_table_names(self):
        header = {"src/base/a.hpp": "#pragma once\n"}
        cases = {
            "src/store/x.cpp": [],
            "src/broker/x.cpp": [],
            "src/app/x.cpp": [],
            "src/main.cpp": [],
        }
        for path, expected in cases.items():
            self.assertEqual(findings({**header, path: USER}), expected, path)
        wrong = findings({"src/store/x.cpp": '#include "broker/b.hpp"\n'})
        self.assertEqual(wrong, ["src/store/x.cpp:1: store includes broker; src/LAYERS allows: base"])

    def test_know_every_folder(self):
        self.assertRegex(findings({"src/misc/x.cpp": "int a;\n"})[0], "misc isn't in src/LAYERS")

    def test_have_no_cycles(self):
        found = findings({"src/LAYERS": "base: store\nstore: base\n"})
        self.assertRegex(found[0], "base names store, which isn't below it")

    def test_ask_for_includes_from_the_root_of_src(self):
        self.assertRegex(source('#include "../base/a.hpp"\n')[0], "write it from src/")
        self.assertRegex(source('#include "a.hpp"\n')[0], '"broker/a.hpp"')

    def test_keep_databases_in_store_and_sockets_out_of_protocols(self):
        self.assertEqual(source("#include <sqlite3.h>\n", "src/store/x.cpp"), [])
        self.assertRegex(source("#include <sqlite3.h>\n")[0], "only store may")
        found = source("#include <boost/asio/ip/tcp.hpp>\n", "src/broker/x_protocol.cpp")
        self.assertRegex(found[0], "a protocol includes")

    def test_agree_with_what_cmake_links(self):
        right = {"CMakeLists.txt": "millrace_layer(broker DEPENDS base store\n    LINK Boost::json)\n"}
        self.assertEqual(findings(right), [])
        wrong = {"CMakeLists.txt": "millrace_layer(store DEPENDS base broker LINK SQLite::SQLite3)\n"}
        self.assertRegex(findings(wrong)[0], "CMakeLists.txt:1: store links broker")


class DeadFiles(unittest.TestCase):
    def test_headers_must_be_included_by_another_file(self):
        header = {"src/base/a.hpp": "#pragma once\n"}
        self.assertRegex(findings({**header, "src/base/a.cpp": USER})[0], "no other file includes")
        self.assertEqual(findings({**header, "src/store/b.cpp": USER}), [])
        self.assertEqual(findings({**header, "bench/b.cpp": USER}), [])

    def test_tests_must_be_built(self):
        test = {"tests/store/x_test.cpp": "int a;\n"}
        self.assertRegex(findings(test)[0], "never built")
        self.assertEqual(findings({**test, "tests/CMakeLists.txt": "millrace_test(store store)\n"}), [])


class Bans(unittest.TestCase):
    BANNED = (
        'std::system("ls");', 'popen("ls", "r");', "strcpy(a, b);", "int a = atoi(b);", "a = std::rand();",
        "std::this_thread::sleep_for(a);", "::usleep(5);", "auto t = gmtime(&a);", "std::localtime(&a);",
        "std::cout << a;", "using namespace std;", "std::regex r;", "t = std::chrono::system_clock::now();",
        "std::thread t(f);", "co_spawn(io, f(), asio::detached);", "a = std::stoi(b);", 'std::getenv("A");',
        "try { f(); } catch (const E& e) { }", "std::exit(1);",
    )
    ALLOWED = (
        "boost::system::error_code(a);", "gmtime_r(&a, &b);", "clock.sleep_for(a);", "timer.expires_at(a);",
        "void sleep_until(TimePoint t);", "std::snprintf(a, b, c);", "std::thread::id a;", "x.time(0);",
        "operand(1);", "exec.system(a);", "// std::cout", 'auto a = "std::system(";',
        "catch (const E& e) { return e; }", "catch (const E&) {\n    // The caller asks again.\n}",
    )

    def test_name_the_call_and_its_replacement(self):
        self.assertEqual(
            source("int a = atoi(b);\n"),
            ["src/broker/x.cpp:1: banned: atoi; use std::from_chars, which reports bad input"],
        )

    def test_find_every_banned_call(self):
        for code in self.BANNED:
            self.assertRegex("\n".join(source(code + "\n")), "banned:", code)

    def test_leave_other_names_alone(self):
        for code in self.ALLOWED:
            self.assertEqual(source(code + "\n"), [], code)

    def test_leave_the_terminal_and_the_environment_to_app(self):
        text = 'void f() { std::cout << std::getenv("A"); std::exit(2); }\n'
        self.assertEqual(source(text, "src/app/x.cpp"), [])

    def test_hold_in_tests_too(self):
        cmake = {"tests/CMakeLists.txt": "millrace_test(store store)\n"}
        for code in ("std::this_thread::sleep_for(a);\n", "TEST(A, DISABLED_B) {}\n"):
            self.assertRegex(findings({"tests/store/x_test.cpp": code, **cmake})[0], "banned:")


class Coroutines(unittest.TestCase):
    WRONG = {
        "co_await f(Options{1, 2});": "braced temporary",
        "auto a = co_await f(x, {1});": "braced temporary",
        "co_return co_await f(std::vector<int>{1});": "braced temporary",
        "co_await pool.run([s] { return s; });": "lambda",
        "co_await pool.run([s = std::move(t)](int a) mutable -> int { return s; });": "lambda",
        "co_await f([&]() { g(); });": "lambda",
        "f(co_await a(), co_await b());": "two co_await",
        "auto x = co_await f(co_await g());": "two co_await",
        "if (co_await f(A{}) && b) {}": "braced temporary",
    }
    RIGHT = (
        "co_await f(a, b[1]);",
        "if (co_await f(a)) { g(A{}); }",
        "while (!co_await f()) {\n    co_await g();\n}",
        "for (auto& x : co_await f()) { h({x}); }",
        "auto a = co_await f(std::move(b));\nauto c = co_await g(a);",
        "co_return co_await asio::co_spawn(pool_, std::move(task), asio::use_awaitable);",
        "auto task = [s]() -> asio::awaitable<int> { co_return s; };\nco_await run(std::move(task));",
    )

    def test_find_what_the_compiler_gets_wrong(self):
        for code, expected in self.WRONG.items():
            found = source("A f() {\n    " + code + "\n}\n")
            self.assertEqual(len(found), 1, code)
            self.assertRegex(found[0], "x.cpp:2: .*" + expected, code)

    def test_accept_named_arguments(self):
        for code in self.RIGHT:
            self.assertEqual(source("A f() {\n" + code + "\n}\n"), [], code)


class Documentation(unittest.TestCase):
    def test_links_lead_to_files_and_headings(self):
        pages = {"docs/a.md": "# A page, of `many`\n", "README.md": ""}
        for link in ("docs/a.md", "docs", "docs/a.md#a-page-of-many", "https://example.org/x", "README.md"):
            self.assertEqual(findings({**pages, "README.md": f"[x]({link})\n"}), [], link)
        for link, expected in (("b.md", "broken link"), ("docs/a.md#b", "no heading #b")):
            self.assertRegex(findings({**pages, "README.md": f"[x]({link})\n"})[0], expected)
        self.assertEqual(findings({**pages, "docs/b.md": "[x](a.md) [y](../README.md)\n"}), [])

    def test_files_that_are_named_exist(self):
        gone = findings({"README.md": "See `src/base/gone.hpp`.\n"})
        self.assertRegex(gone[0], "mentions src/base/gone.hpp")
        self.assertEqual(findings({"README.md": "See `src/LAYERS` and `src/<layer>/x.hpp`.\n"}), [])


class TheTree(unittest.TestCase):
    def test_is_read_from_the_root_of_the_project(self):
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
        tree = tidy.read_tree(root)
        for path in ("src/LAYERS", "dev", "tools/tidy.py", "CMakeLists.txt", "src/main.cpp", "README.md"):
            self.assertIn(path, tree.files)
        self.assertFalse([path for path in tree.files if path.startswith("build/") or "/fixtures/" in path])


if __name__ == "__main__":
    unittest.main()
