"""setuptools as it is, but for wheels in an empty folder.

Its own, ``build/``, stays in a checkout, and all that an older version left there would be packed.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from setuptools.build_meta import *  # noqa: F403 - the hooks that are as they were
from setuptools.build_meta import build_wheel as _build_wheel


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build a wheel, as PEP 517 says it."""
    with TemporaryDirectory() as empty:
        options = Path(empty, "options.cfg")
        options.write_text(f"[build]\nbuild_base = {empty}\n", encoding="utf-8")
        os.environ["DIST_EXTRA_CONFIG"] = str(options)
        return str(_build_wheel(wheel_directory, config_settings, metadata_directory))
