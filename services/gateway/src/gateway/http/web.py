"""Serves the web app: hashed assets for ever, everything else from its one page, under a strict content security policy."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from chassis.errors import NotFound

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"
_ASSETS = "assets"
"""Folder whose file names change with their content."""


class WebApp:
    """The built web app. Which files there are is read once; a path is looked up, never composed."""

    def __init__(self, root: Path) -> None:
        self._index = root / "index.html"
        self._files = {"/" + path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}

    async def serve(self, request: Request) -> Response:
        """A file, or the page for any other path that is not the API's."""
        path = request.url.path
        found = self._files.get(path)
        if found is None and (path == "/v1" or path.startswith(f"/{_ASSETS}/") or not self._index.is_file()):
            raise NotFound
        lasting = IMMUTABLE if path.startswith(f"/{_ASSETS}/") else REVALIDATED
        kind = mimetypes.guess_type(found.name)[0] if found else "text/html"
        return FileResponse(found or self._index, media_type=kind, headers={"Cache-Control": lasting})


def security_headers(storage_endpoint: str) -> dict[str, str]:
    """What every answer carries. Media and uploads go straight to object storage, so its origin is allowed where they need it."""
    parts = urlsplit(storage_endpoint)
    storage = f" {parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else ""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "font-src": "'self'",
        "manifest-src": "'self'",
        "img-src": f"'self' blob: data:{storage}",
        "media-src": f"'self' blob:{storage}",
        "connect-src": f"'self'{storage}",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'self'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
