"""``python -m fc7``: the command line."""

from fc7.cli import main

main()
