"""Requests that are generated from a description of the shop's endpoints find none that answers 500."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.openapi import document
from tests.acceptance.processes import EXAMPLE, Web, environment, manage
from tests.servers import PostgresServer, ServerNotFound
from tests.servers.plugin import WANT_OF

pytest.importorskip("schemathesis", reason="Schemathesis is not installed")
pytestmark = pytest.mark.acceptance

# How many requests are made of each endpoint in each way, and in how many seconds all of them have to be.
EXAMPLES = 8
SECONDS = 25


@pytest.fixture
def web():
    with ExitStack() as stack:
        try:
            postgres = stack.enter_context(PostgresServer())  # which takes less than SQLite does
        except ServerNotFound:
            pytest.skip(f"{WANT_OF}PostgreSQL")
        env = environment(postgres.url, "memory://")
        manage("migrate", "--verbosity=0", env=env)
        yield stack.enter_context(Web(env))


def actions() -> list[str]:
    return re.findall(r'@statezero_action\(name="(\w+)"', (EXAMPLE / "desk" / "workflows.py").read_text())


def test_no_generated_request_is_answered_by_500(web, tmp_path):
    runs = [web.ask(f"/desk/{kind}/", {})[1]["run"] for kind in ("onboardings", "expenses") for _ in range(30)]
    forms = [web.ask(f"/statezero/actions/{name}/")[1] for name in actions()]
    assert len(forms) == 5
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(document(forms, runs)))
    tested = subprocess.run(
        [
            *(Path(sys.executable).with_name("st"), "run", described, "--url", web.url),
            *("--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing", "--seed", "1"),
            *("--max-examples", str(EXAMPLES), "--max-time", str(SECONDS), "--generation-database", "none"),
            *("--no-color", "--no-shrink", "--warnings", "off", "--request-timeout", "30"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout[-8000:] + tested.stderr[-2000:]
    moved = web.ask(f"/statezero/runs/{runs[0]}/")
    assert moved[0] == 200
