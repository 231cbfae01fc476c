"""Serves the web app: hashed assets forever, everything else from its one page, under a strict content security policy.

The same page is a tenant's widget under `/widget/<tenant>`: there, and there alone, pages of that tenant's may frame it.
"""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from chassis.errors import NotFound

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"
WIDGET = "/widget/"
"""Prefix of a tenant's widget."""
_ASSETS = "assets"
"""Folder whose file names change with their content."""


class WebApp:
    """The built web app. A path is looked up, never composed; the files are listed again after a build."""

    def __init__(self, root: Path, storage_endpoint: str, framers: Mapping[str, Sequence[str]]) -> None:
        self._root = root
        self._widgets = {
            WIDGET + tenant: security_headers(storage_endpoint, framed_by=pages) for tenant, pages in framers.items()
        }
        """Headers of each tenant's widget, by its path."""
        self._index = root / "index.html"
        self._files: dict[str, Path] = {}
        """Files by request path."""
        self._listed: dict[Path, int] | None = None
        """The folders that were listed, with their modification times."""

    async def serve(self, request: Request) -> Response:
        """Serve a file, or the app's page for any other path outside the API."""
        path = request.url.path
        if path.startswith(WIDGET):
            if path not in self._widgets:
                raise NotFound
            request.state.headers = self._widgets[path]
        found = self._find(path)
        if found is None and (path == "/v1" or path.startswith(f"/{_ASSETS}/") or not self._index.is_file()):
            raise NotFound
        lasting = IMMUTABLE if path.startswith(f"/{_ASSETS}/") else REVALIDATED
        kind = mimetypes.guess_type(found.name)[0] if found else "text/html"
        return FileResponse(found or self._index, media_type=kind, headers={"Cache-Control": lasting})

    def _find(self, path: str) -> Path | None:
        changes = {folder: folder.stat().st_mtime_ns for folder in (self._root, self._root / _ASSETS) if folder.is_dir()}
        if changes != self._listed:  # read before the listing, so that what changes during it is seen the next time
            self._files = dict(_listing(self._root))
            self._listed = changes
        found = self._files.get(path)
        return found if found is not None and found.is_file() else None


def _listing(root: Path) -> Iterator[tuple[str, Path]]:
    """Every file with its request path."""
    for folder, _, names in os.walk(root):
        for file in (Path(folder, name) for name in names):
            yield "/" + file.relative_to(root).as_posix(), file


def security_headers(storage_endpoint: str, *, framed_by: Sequence[str] = ()) -> dict[str, str]:
    """The security headers of an answer. Media and uploads go directly to object storage, so its origin is allowed for them.

    `framed_by` are the origins whose pages may frame it. `X-Frame-Options` has no list, so it is sent only to forbid framing;
    browsers that know `frame-ancestors` ignore it.
    """
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
        "frame-ancestors": " ".join(framed_by) or "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        **({} if framed_by else {"X-Frame-Options": "DENY"}),
    }
