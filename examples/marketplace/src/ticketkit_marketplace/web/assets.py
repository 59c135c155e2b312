"""Static files under names with their hash: a browser asks for each one once."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

FOREVER: Final = "public, max-age=31536000, immutable"
_WORTH_IT: Final = 500
_TYPES: Final = {"js": "text/javascript", "svg": "image/svg+xml", "webmanifest": "application/manifest+json"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file.

    Attributes:
        url: With the hash.
        packed: The same, gzipped; None where that saves nothing.
    """

    url: str
    media_type: str
    content: bytes
    packed: bytes | None


class Assets:
    """All files of the folders `static`.

    Args:
        packages: Whose folders; the files of later ones go before those of earlier ones.
        path: Where they are served.
    """

    def __init__(self, packages: Sequence[str] = ("ticketkit_marketplace.web",), *, path: str = "/static") -> None:
        folders = [files(package) / "static" for package in packages]
        contents = {file.name: file.read_bytes() for folder in folders for file in folder.iterdir() if file.is_file()}
        self._path = path
        self._assets = {name: _asset(name, content, path) for name, content in contents.items()}
        self._by_url = {asset.url: asset for asset in self._assets.values()}

    def url(self, name: str) -> str:
        """The URL of a file; a KeyError if there is none."""
        return self._assets[name].url

    def content(self, url: str) -> bytes:
        """What is at a URL; a KeyError if nothing is."""
        return self._by_url[url].content

    def route(self) -> Route:
        """Serves the files."""
        return Route(f"{self._path}/{{name}}", self._serve, methods=["GET"])

    async def _serve(self, request: Request) -> Response:
        asset = self._by_url.get(request.url.path)
        if asset is None:
            return Response("There is no such file.", 404, media_type="text/plain")
        headers = {"cache-control": FOREVER, "vary": "accept-encoding"}
        content = asset.content
        if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"], content = "gzip", asset.packed
        return Response(content, headers=headers, media_type=asset.media_type)


def _asset(name: str, content: bytes, path: str) -> Asset:
    stem, _, ending = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:12]
    packed = gzip.compress(content, mtime=0)
    media_type = _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Asset(
        url=f"{path}/{stem}.{digest}.{ending}",
        media_type=media_type,
        content=content,
        packed=packed if len(packed) + _WORTH_IT < len(content) else None,
    )
