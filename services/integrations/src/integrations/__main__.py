"""Runs an integrations process: `python -m integrations`; see `app`."""

from integrations.app import main

main()
