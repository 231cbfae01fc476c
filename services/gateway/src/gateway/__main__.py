"""`python -m gateway`: be one; `python -m gateway openapi`: print the document of its HTTP API."""

import sys

from gateway import compiled

compiled.use()

from gateway.app import start  # noqa: E402 - its modules may come compiled
from gateway.http import openapi  # noqa: E402 - as above

match sys.argv[1:]:
    case []:
        start()
    case ["openapi"]:
        sys.stdout.write(openapi.document())
    case _:
        sys.exit("usage: python -m gateway [openapi]")
