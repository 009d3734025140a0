"""Build README's figure: ``python tools/build_figures.py [DIRECTORY]``. Needs matplotlib.

Writes into ``docs/_static``, or into another directory. The figure holds a checksum of the sample
files that it shows. A test compares it with those that are there: run this again when they change.
The same versions of matplotlib and of its fonts draw the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from intake_futu_short import plotting, sample

ROOT = Path(__file__).parent.parent
CODE = "HK.SAMPLE"
DPI = 110


def build(directory: Path) -> Path:
    """Draw the newest year of the synthetic HK ticker, with its reported open positions."""
    target = directory / "short-volume.png"
    positions = sample.frame(CODE, what="short_interest")
    options = plotting.Options(positions=positions)
    plotting.save(sample.frame(CODE), target, options, dpi=DPI)
    _note(target, f"rows {_checksum()}")
    return target


def _checksum() -> str:
    files = [f"{CODE}.csv", f"short_interest/{CODE}.csv"]
    folder = ROOT / "intake_futu_short" / "sample"
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in files)).hexdigest()


def _note(target: Path, text: str) -> None:
    """Write a comment into a PNG file."""
    from PIL import Image, PngImagePlugin  # noqa: PLC0415 - comes with matplotlib

    comment = PngImagePlugin.PngInfo()
    comment.add_text("Comment", text)
    with Image.open(target) as picture:
        # 64 colours are enough for lines and text, and a quarter of the bytes.
        picture.convert("RGB").quantize(64).save(target, pnginfo=comment, optimize=True)


def main() -> None:
    """Build them where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=ROOT / "docs" / "_static")
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    print(build(directory))


if __name__ == "__main__":
    main()
