"""Every test that docs/traps.md names is there."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEST = re.compile(r"TEST(?:_F|_P)?\((\w+),\s*(\w+)\)")


class Traps(unittest.TestCase):
    def test_each_has_its_tests(self):
        known = set()
        for path in (ROOT / "tests").rglob("*.cpp"):
            known |= {".".join(found) for found in TEST.findall(path.read_text())}
        lines = (ROOT / "docs/traps.md").read_text().splitlines()
        rows = [line for line in lines if line.startswith("|") and "`" in line]
        self.assertGreaterEqual(len(rows), 13)
        for row in rows:
            named = re.findall(r"`(\w+\.\w+)`", row)
            self.assertTrue(named, row)
            for name in named:
                self.assertIn(name, known)


if __name__ == "__main__":
    unittest.main()
