"""Runs a media process: `python -m media`; see `app`."""

from media.app import main

main()
