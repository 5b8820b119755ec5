"""Whoever follows the tutorial alone, in an empty folder with the built wheel, ends with a completed run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from fnmatch import fnmatch
from functools import singledispatchmethod
from pathlib import Path

import pytest

from tests.acceptance import tutorial
from tests.acceptance.processes import PATIENCE, ROOT, wait_until
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.servers.process import free_port

playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

# The server of the tutorial. It is the one thing that this test changes: the port may be taken.
ADDRESS = "127.0.0.1:8000"


class Reader:
    """Follows the tutorial with a shell, an editor and a browser."""

    def __init__(self, folder: Path, wheels: Path, page: playwright.Page) -> None:
        self.folder = folder
        self.page = page
        self.port = free_port()
        self.preparation: list[str] = []
        self.server: subprocess.Popen[bytes] | None = None
        self.log = folder.parent / "terminal"
        self.output = ""
        links = f"{wheels} {os.environ.get('PIP_FIND_LINKS', '')}".strip()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "PYTHON"))}
        self.env |= {"PIP_FIND_LINKS": links, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}

    @singledispatchmethod
    def follow(self, action: tutorial.Action) -> None:
        """Do what one place of the tutorial tells to do."""
        raise NotImplementedError(action)

    @follow.register
    def _(self, action: tutorial.Write) -> None:
        path, text = self.folder / action.path, self._here(action.text)
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if action.where else ""
        path.write_text(text + before if action.where == "top" else before + text)

    @follow.register
    def _(self, action: tutorial.Enter) -> None:
        enter = self._serve if "runworkflows" in action.command else self._enter
        enter(action.command, action.output)

    @follow.register
    def _(self, action: tutorial.Open) -> None:
        self.page.goto(self._here(action.url) if action.url else self._last_link())

    @follow.register
    def _(self, action: tutorial.Press) -> None:
        self.page.get_by_role("button", name=action.button).click()

    @follow.register
    def _(self, action: tutorial.Fill) -> None:
        for label, value in action.fields.items():
            self.page.get_by_label(label, exact=True).fill(value)

    @follow.register
    def _(self, action: tutorial.See) -> None:
        self.page.get_by_text(action.text).first.wait_for()

    @follow.register
    def _(self, action: tutorial.Stop) -> None:
        self.stop()

    def stop(self) -> None:
        """Press Ctrl-C where the server runs."""
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGINT)
            self.server.wait(PATIENCE)
            self.server = None

    def _enter(self, command: str, expected: tuple[str, ...]) -> None:
        if command.startswith(("source ", "cd ")):
            self.preparation.append(command)
            return
        done = subprocess.run(
            ["bash", "-c", self._line(command)],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.output = done.stdout
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        self._compare(command, expected, done.stdout)

    def _serve(self, command: str, expected: tuple[str, ...]) -> None:
        with self.log.open("ab") as log:
            started = log.tell()
            self.server = subprocess.Popen(
                ["bash", "-c", f"{self._line('exec ' + command)} {self.port}"],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: "Quit with Ctrl-C" in self._said()[started:], PATIENCE, f"{command} starts")
        self._compare(command, expected, self._said()[started:])

    def _compare(self, command: str, expected: tuple[str, ...], output: str) -> None:
        """Look for the expected lines in the output, in their order; dots stand for anything."""
        lines = iter([" ".join(line.split()) for line in output.splitlines()])
        for line in expected:
            pattern = self._here(" ".join(line.split())).replace("[", "[[]").replace("...", "*")
            assert any(fnmatch(found, pattern) for found in lines), f"$ {command}\n{output}\nlacks {line!r}"

    def _line(self, command: str) -> str:
        return " && ".join([*self.preparation, self._here(command)])

    def _here(self, text: str) -> str:
        return text.replace(ADDRESS, f"127.0.0.1:{self.port}")

    def _said(self) -> str:
        return self.log.read_text(errors="replace")

    def _last_link(self) -> str:
        return re.findall(r"^(http://\S+)$", self._said(), re.MULTILINE)[-1]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A directory with the wheel of this package."""
    directory = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory), str(ROOT)]
    subprocess.run(build, check=True)
    return directory


@pytest.fixture
def reader(tmp_path, wheels):
    if not CHROMIUM or not shutil.which("bash"):
        pytest.skip("for want of Chromium or bash")
    folder = tmp_path / "office"
    folder.mkdir()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        reader = Reader(folder, wheels, browser.new_page())
        yield reader
        reader.stop()
        browser.close()


def test_the_tutorial_leads_to_green_tests_and_a_completed_run(reader):
    for action in tutorial.actions(tutorial.PAGE.read_text()):
        reader.follow(action)
    assert re.search(r"1 +leave +completed", reader.output)
