"""`python -m milango.server`: the command `milango`."""

from .cli import main

main()
