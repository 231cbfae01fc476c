"""`python -m messages`: see `app`."""

from messages.app import main

main()
