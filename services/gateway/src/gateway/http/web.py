"""Serves the built web app, and defines the security headers of every response.

Hashed assets are cached for good; every other path is answered with the one page. `/widget/<tenant>` is the same page as a
widget, which pages of that tenant's origins may frame. Nothing else may be framed.
"""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from chassis.errors import NotFound

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"
WIDGET = "/widget/"
"""What follows is the tenant."""
EMBED = "/embed.js"
"""The script that host pages load."""
YEAR_SECONDS = 31_536_000
_ASSETS = "assets"
"""Folder whose file names change with their content."""


class WebApp:
    """The built web app. A path is looked up in a listing, never joined to the root; a new build is listed again."""

    def __init__(self, root: Path, headers: Callable[..., dict[str, str]], framers: Mapping[str, Sequence[str]]) -> None:
        self._root = root
        self._headers = {WIDGET + tenant: headers(framed_by=pages) for tenant, pages in framers.items()}
        """Headers by path, where they differ from those of every response."""
        self._headers[EMBED] = headers(embeddable=True)
        self._index = root / "index.html"
        self._files: dict[str, Path] = {}
        """Files by request path."""
        self._listed: dict[Path, int] | None = None
        """The folders that were listed, with their modification times."""

    async def serve(self, request: Request) -> Response:
        """Serve a file, or the app's page for any other path outside the API."""
        path = request.url.path
        if path.startswith(WIDGET) and path not in self._headers:
            raise NotFound
        if path in self._headers:
            request.state.headers = self._headers[path]
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


def security_headers(
    storage_endpoint: str, *, over_tls: bool = False, framed_by: Sequence[str] = (), embeddable: bool = False
) -> dict[str, str]:
    """The security headers of a response. Media and uploads go straight to object storage, so the policy allows its origin.

    `over_tls`: browsers reach this deployment by https, and must never use http again. `framed_by`: the origins whose pages may
    show the response in a frame; `X-Frame-Options` has no list, so it only forbids. `embeddable`: pages of other origins may load
    it, which `framed_by` implies.

    COEP is `credentialless` and not `require-corp`, because object storage sends no CORP header. Safari ignores it.
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
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
        **({"upgrade-insecure-requests": ""} if over_tls else {}),
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}".strip() for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "credentialless",
        "Cross-Origin-Resource-Policy": "cross-origin" if framed_by or embeddable else "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        **({} if framed_by else {"X-Frame-Options": "DENY"}),
        **({"Strict-Transport-Security": f"max-age={YEAR_SECONDS}; includeSubDomains"} if over_tls else {}),
    }
