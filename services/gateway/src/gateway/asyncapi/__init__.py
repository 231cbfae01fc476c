"""The AsyncAPI document of the socket, docs/asyncapi.json, as `http.openapi` is the document of the HTTP API."""
