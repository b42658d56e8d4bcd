"""tools/fetch_clients.py: what is there is not fetched again, and what failed leaves nothing behind."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import fetch_clients


class Provide(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = pathlib.Path(scratch.name)
        self.folder = self.root / "part"
        self.fetched = []

    def fetch(self, folder):
        (folder / "file").write_text(str(len(self.fetched)), encoding="utf-8")
        self.fetched.append(folder)

    def test_a_part_is_fetched_once(self):
        fetch_clients.provide(self.folder, "1", self.fetch)
        fetch_clients.provide(self.folder, "1", self.fetch)
        self.assertEqual(len(self.fetched), 1)

    def test_another_version_replaces_it(self):
        fetch_clients.provide(self.folder, "1", self.fetch)
        fetch_clients.provide(self.folder, "2", self.fetch)
        self.assertEqual((self.folder / "file").read_text(encoding="utf-8"), "1")

    def test_a_failure_leaves_nothing_that_looks_fetched(self):
        def fail(folder):
            self.fetch(folder)
            raise fetch_clients.FetchError("no network")

        with self.assertRaises(fetch_clients.FetchError):
            fetch_clients.provide(self.folder, "1", fail)
        self.assertEqual(list(self.root.iterdir()), [])
        fetch_clients.provide(self.folder, "1", self.fetch)
        self.assertTrue((self.folder / "file").is_file())


class Why(unittest.TestCase):
    def test_the_reason_is_what_apt_or_npm_says_first(self):
        for text, reason in [
            ("Reading lists\nE: Unable to locate package x\nE: more", "Unable to locate package x"),
            ("npm ERR! code ENOTFOUND\nnpm ERR! no such host\n", "no such host"),
        ]:
            self.assertEqual(fetch_clients.why(text), reason)


if __name__ == "__main__":
    unittest.main()
