"""`python -m gateway` runs a gateway; `openapi` and `asyncapi` print the documents of its HTTP API and of its socket."""

import sys

from gateway.app import start
from gateway.asyncapi import document
from gateway.http import openapi

match sys.argv[1:]:
    case []:
        start()
    case ["openapi"]:
        sys.stdout.write(openapi.document())
    case ["asyncapi"]:
        sys.stdout.write(document.document())
    case _:
        sys.exit("usage: python -m gateway [openapi | asyncapi]")
