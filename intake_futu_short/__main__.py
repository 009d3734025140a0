"""``python -m intake_futu_short`` is ``futu-short``."""

from intake_futu_short.cli import main

main(prog_name="futu-short")
