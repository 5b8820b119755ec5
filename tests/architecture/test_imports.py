"""Imports flow one way."""

import subprocess
import sys

LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def test_every_module_has_its_layer_and_imports_only_what_lies_below(pytestconfig):
    linted = subprocess.run(
        [sys.executable, "-c", LINT], cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
