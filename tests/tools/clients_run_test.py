"""tests/clients/run.py knows which suites it cannot run."""

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


if __name__ == "__main__":
    unittest.main()
