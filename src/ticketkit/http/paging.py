"""Lists a page at a time: `?limit=&cursor=`, and a Link header to the next page (RFC 8288)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from ticketkit.http.bodies import Json

LARGEST: Final = 200
LINK: Final = {"Link": 'The next page: `<…>; rel="next"`; absent on the last one.'}
"""What the document says of the header."""


class Paged(BaseModel):
    """Which page of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=LARGEST, description="Most items on the page.")] = 50
    cursor: Annotated[
        str | None,
        Field(min_length=1, max_length=2_000, description="From the Link header of the page before."),
    ] = None


def page(request: Request, items: Sequence[Any], cursor: str | None) -> Json:
    """A page of a list, with the link to the next one."""
    if cursor is None:
        return Json(items)
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return Json(items, headers={"link": f'<{path_of(request)}?{urlencode([*query, ("cursor", cursor)])}>; rel="next"'})


def path_of(request: Request, path: str | None = None) -> str:
    """The path of a request, or another one of this API, below wherever the API is mounted."""
    root = str(request.scope.get("root_path", "")).rstrip("/")
    if path is not None:
        return root + path
    whole: str = request.scope["path"]
    return whole if whole.startswith(root + "/") else root + whole
