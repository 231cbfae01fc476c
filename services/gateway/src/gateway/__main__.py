"""`python -m gateway` runs a gateway; `python -m gateway openapi` prints the OpenAPI document of its HTTP API."""

import sys

from gateway.app import start
from gateway.http import openapi

match sys.argv[1:]:
    case []:
        start()
    case ["openapi"]:
        sys.stdout.write(openapi.document())
    case _:
        sys.exit("usage: python -m gateway [openapi]")
