"""``futu-short demo``: the built-in sample as a table and a figure, without OpenD."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIGURE", "demo"]

FIGURE = "futu-short-demo.png"
_GATEWAY = "sample://"
_REAL = "US.AAPL"
_SYNTHETIC = "HK.SAMPLE"
_DAYS = 10
# A ratio this many standard deviations from its mean stands out, and this multiple of the usual
# number of shares sold short.
_FAR_SD = 2.0
_SURGE = 2.0

_HOW_TO_READ = """\
How to read it: a short ratio of 0.15 means that 15 of every 100 shares traded
that day were sold short. Compare a ticker with its own 20-day ratio; US and HK
ratios count different things. "+2.5 sd" is 2.5 standard deviations above the
mean of the 20 days before.
"""
_WHAT_NEXT = f"""\
What to do next:
  futu-short plot US.SAMPLE --gateway {_GATEWAY} -o figure.png
      draws a ticker into a file (needs matplotlib)
  futu-short doctor
      says whether your OpenD is ready, and what to do if it is not
  futu-short read US.MSFT --start 2026-01-01
      reads a ticker of your own from it

The same in Python:
  import intake
  df = intake.open_futu_short("{_REAL}", gateway="{_GATEWAY}").read()
  df.shortvol.short_ratio()
"""


@click.command()
def demo() -> None:
    """Show the short volume of two sample tickers. Needs no OpenD.

    US.AAPL has real rows, HK.SAMPLE synthetic ones. Both are read as from OpenD, over a socket of
    this machine. A figure of HK.SAMPLE is saved as futu-short-demo.png in the current directory,
    if matplotlib is installed.
    """
    from intake_futu_short.source import FutuShortSource

    click.echo("Daily short volume from the built-in sample. No OpenD is needed.\n")
    real = FutuShortSource(_REAL, gateway=_GATEWAY).read()
    click.echo(_section(real, "real rows"))
    synthetic = FutuShortSource(_SYNTHETIC, gateway=_GATEWAY).read()
    click.echo(_section(synthetic, "synthetic rows; there is no such security"))
    click.echo(_HOW_TO_READ)
    click.echo(f"{_draw(synthetic)}\n")
    click.echo(_WHAT_NEXT, nl=False)


def _section(frame: pd.DataFrame, what: str) -> str:
    """The newest days of a ticker below a heading, at most 80 columns wide."""
    days = frame["timestamp_str"]
    volume = "volume" if frame.shortvol.market == "US" else "shares_traded"
    metrics = frame.shortvol.with_metrics(windows=(20,))
    newest = metrics.sort_values("timestamp_str", ascending=False).head(_DAYS)
    lines = [
        f"{frame.shortvol.code}: {what}",
        f"The newest {len(newest)} of {len(frame):,} trading days, {days.min()} to {days.max()}",
        "",
        f"{'date':<10}{'volume':>14}{'short ratio':>14}{'20-day':>9}   what stands out",
    ]
    for _, row in newest.iterrows():
        ratio, usual = row["short_ratio"], row["pooled_short_ratio_20"]
        numbers = f"{row[volume]:>14,}{ratio:>14.3f}{usual:>9.3f}"
        lines.append(f"{row['timestamp_str']}{numbers}   {_standing_out(row)}".rstrip())
    return "\n".join(lines) + "\n"


def _standing_out(row: pd.Series) -> str:
    """What is unusual about a day, in a few words; empty for a usual one."""
    z, rank = row["short_ratio_zscore_20"], row["short_ratio_rank_20"]
    surge = row["short_volume_surge_20"]
    is_far = abs(z) >= _FAR_SD
    distance = f"{z:+.1f} sd" if is_far else ""
    if rank >= 1:
        words = "highest in 20 days"
    elif rank <= 1 / 20:
        words = "lowest in 20 days"
    elif is_far:
        words = "high" if z > 0 else "low"
    elif surge >= _SURGE:
        return f"{surge:.1f}x the usual shares short"
    else:
        return ""
    return f"{words}, {distance}" if distance else words


def _draw(frame: pd.DataFrame) -> str:
    """Save the figure, with the reported open positions; say where it is, or why it is not."""
    from intake_futu_short import plotting
    from intake_futu_short.interest_source import FutuShortInterestSource

    interest = FutuShortInterestSource(_SYNTHETIC, gateway=_GATEWAY).read()
    try:
        plotting.save(frame, FIGURE, plotting.Options(positions=interest))
    except ImportError:
        return (
            "No figure was saved, because matplotlib is missing. To see one:\n"
            "  pip install matplotlib && futu-short demo"
        )
    except OSError as error:
        return f"No figure was saved: {error}"
    return f"A figure of {_SYNTHETIC} was saved as {FIGURE} in this directory."
