"""Holds every response of the tests against the OpenAPI document."""

from __future__ import annotations

import re
from typing import Any

import httpx2
from openapi_schema_validator import OAS31Validator

GENERIC = {"route_not_found", "method_not_allowed"}
"""Codes of requests that are for no operation."""


class Contract:
    """The document, as the judge of responses.

    Attributes:
        seen: Operation, status and code of each response.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, str, int, str | None]] = set()
        # Paths without parameters first, as the routes are.
        paths = sorted(document["paths"], key=lambda path: path.count("{"))
        self._patterns = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in paths]

    async def check(self, response: httpx2.Response) -> None:
        """The status is documented, the code of a refusal too, and the body is as documented."""
        await response.aread()
        code = response.json()["code"] if "problem" in response.headers.get("content-type", "") else None
        if code in GENERIC:
            return
        method = response.request.method
        if method == "HEAD":
            return
        path = self.path_of(response.request.url.path)
        told = self.document["paths"][path][method.lower()]["responses"]
        where = f"{method} {path} {response.status_code} {code}"
        assert str(response.status_code) in told, where
        answer = told[str(response.status_code)]
        self.seen.add((method, path, response.status_code, code))
        if code is not None:
            assert code in answer["x-codes"], where
            self._check_problem(response)
        for kind, content in answer.get("content", {}).items():
            assert response.headers["content-type"].partition(";")[0] == kind, where
            if kind.endswith("json"):
                self.validate(response.json(), content["schema"])
        if "content" not in answer:
            assert response.content == b"", where

    def path_of(self, path: str) -> str:
        """The template of a path."""
        return next(str(template) for pattern, template in self._patterns if pattern.fullmatch(path))

    def validate(self, value: Any, schema: dict[str, Any]) -> None:
        """Hold a value against a schema of the document."""
        OAS31Validator({**schema, "components": self.document["components"]}).validate(value)

    def _check_problem(self, response: httpx2.Response) -> None:
        problem = response.json()
        assert problem["status"] == response.status_code
        assert problem["type"].endswith(problem["code"])
        assert problem["errors"]
        assert problem["errors"][0]["message"]
