# SPDX-License-Identifier: Apache-2.0
"""docs/python.md runs as it stands, block by block."""
import os
import re
import unittest

from support import Case, run_script

WALK = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "python.md")


class Walk(Case):
    def test_walk(self):
        try:
            import numpy  # noqa: F401
        except ImportError:
            self.skipTest("no numpy")
        with open(WALK, encoding="utf-8") as file:
            blocks = re.findall(r"^```python\n(.*?)^```$", file.read(), re.S | re.M)
        self.assertGreater(len(blocks), 7)
        done = run_script("\n".join(blocks))
        self.assertEqual((done.stderr, done.returncode), ("", 0))
        self.assertIn("after the block: operation forbidden on released memoryview object\n", done.stdout)
        self.assertIn("kickmsg:frames 1 -> 1\n", done.stdout)
        self.assertIn("topic-made kickmsg:short ", done.stdout)


if __name__ == "__main__":
    unittest.main()
