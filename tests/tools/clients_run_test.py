"""tests/clients/run.py knows which suites it cannot run, and cuts them into parts."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

CLIENTS = pathlib.Path(__file__).resolve().parents[1] / "clients"
sys.path.insert(0, str(CLIENTS))

import run  # noqa: E402  (it is beside the suites)


class MissingParts(unittest.TestCase):
    def missing(self, *there):
        """Suites to what they lack where only `there` was fetched."""
        with tempfile.TemporaryDirectory() as folder:
            for place in there:
                (pathlib.Path(folder) / place).mkdir(parents=True)
            root = pathlib.Path(folder)
            found = {name: run.missing_parts(suite, root) for name, suite in run.SUITES.items()}
            return {name: parts for name, parts in found.items() if parts}

    def test_a_suite_lacks_only_what_it_needs(self):
        self.assertEqual(self.missing("js/node", "python/azure", "rabbitmq/server"), {})
        self.assertEqual(self.missing("js/node", "python/azure"), {"rabbitmq": ["rabbitmq"]})
        self.assertEqual(self.missing("js/node", "rabbitmq/server"), {"python": ["python"]})
        without_node = self.missing("python/azure")
        self.assertEqual(without_node["rabbitmq"], ["js", "rabbitmq"])
        self.assertEqual(set(without_node), set(run.SUITES) - {"python"})

    def test_they_are_named_a_line_each(self):
        before, run.SUITES = run.SUITES, {"one": run.Suite(("a",)), "other": run.Suite(())}
        clients, run.missing_parts = run.missing_parts, lambda suite: [] if suite.files else ["python"]
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                run.print_missing()
        finally:
            run.SUITES, run.missing_parts = before, clients
        self.assertEqual(out.getvalue(), "clients_other: the python client is not there\n")


class Parts(unittest.TestCase):
    def test_the_parts_of_a_suite_are_the_whole_suite_once(self):
        for name, suite in run.SUITES.items():
            whole, _ = run.command(suite, None, 0, 1)
            commands = [run.command(suite, None, part, suite.parts)[0] for part in range(suite.parts)]
            files = [word for words in commands for word in words if str(word).endswith(".test.js")]
            self.assertEqual(sorted(files), sorted(word for word in whole if str(word).endswith(".test.js")))
            self.assertEqual(len(files), len(suite.files), name)
            self.assertLessEqual(suite.parts, len(suite.files) or suite.parts, "a part without a test")


if __name__ == "__main__":
    unittest.main()
