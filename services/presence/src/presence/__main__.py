"""Runs a presence process: `python -m presence`."""

from __future__ import annotations

from chassis.lifecycle import run
from presence.app import main
from presence.config import Config

run(Config, main)
