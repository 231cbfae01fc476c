"""`python -m gateway`."""

from gateway.app import start

start()
