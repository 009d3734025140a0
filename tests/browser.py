"""A browser of the Chromium family, for tests of pages."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

__all__ = ["chromium"]


@cache
def chromium() -> str | None:
    """A browser of the Chromium family that starts."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
    of_playwright = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "nowhere"))
    found = [*map(shutil.which, names), *map(str, of_playwright.glob("chromium-*/chrome-*/chrome"))]
    for path in filter(None, found):
        # On some systems there is a command of that name that only says what to install.
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if said.returncode == 0 and "Chrom" in said.stdout:
            return path
    return None
