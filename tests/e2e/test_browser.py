"""The report in a real browser: every figure drawn, nothing on the console, nothing asked of the network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scones.report.page import write_report
from synthetic import make_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=20000",
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def open_page(path: Path, profile: Path) -> tuple[str, str]:
    """The page's DOM after its scripts have run, and what the browser logged."""
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


def test_the_report_opens(tmp_path: Path) -> None:
    path = write_report(make_run(count=40), tmp_path / "report.html")
    dom, log = open_page(path, tmp_path / "profile")
    assert re.search(r'<html[^>]*data-drawn="7"', dom)
    assert dom.count("main-svg") >= 7
    assert [line for line in log.splitlines() if "CONSOLE" in line] == []
