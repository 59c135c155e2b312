"""A browser without JavaScript: it follows links and redirects, fills in forms, and looks at every page it gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2
from bs4 import BeautifulSoup, Tag

from ticketkit.memory import VirtualClock

LARGEST = 60_000
_FOLLOWED = (302, 303, 307)


@dataclass
class Form:
    """A form of a page, as it stands."""

    action: str
    method: str
    multipart: bool
    fields: list[tuple[str, str]]

    def value(self, name: str) -> str:
        return next(value for given, value in self.fields if given == name)


class Shown:
    """A page."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.soup = BeautifulSoup(response.content, "html.parser")

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def path(self) -> str:
        return self.response.url.raw_path.decode()

    @property
    def heading(self) -> str:
        return self.said("h1")

    @property
    def text(self) -> str:
        return _words(self.one("main"))

    @property
    def errors(self) -> dict[str, str]:
        """What is said to be wrong, by field: in the summary, and beside the field that points to it."""
        found = {}
        for entry in self.soup.select("#errors li"):
            link = entry.find("a")
            name = str(link["href"]).removeprefix("#") if isinstance(link, Tag) else ""
            found[name] = _words(entry)
            if name:
                field = self.one(f"#{name}")
                assert field["aria-invalid"] == "true"
                beside = self.one(f"#{name}-error")
                assert beside["id"] in str(field["aria-describedby"]).split()
                assert _words(beside) == found[name]
        return found

    def one(self, selector: str) -> Tag:
        found = self.soup.select_one(selector)
        assert found is not None, f"there is no {selector} in {self.text if selector != 'main' else self.response.text}"
        return found

    def said(self, selector: str) -> str:
        return _words(self.one(selector))

    def every(self, selector: str) -> list[str]:
        return [_words(found) for found in self.soup.select(selector)]

    def link(self, words: str) -> str:
        """Where the link with these words leads."""
        for found in self.soup.find_all("a"):
            if words in _words(found):
                return str(found["href"])
        raise AssertionError(f"there is no link {words!r} in {self.text}")

    def form(self, words: str) -> Form:
        """The form whose button has these words."""
        for found in self.soup.find_all("form"):
            button = found.find("button")
            if isinstance(button, Tag) and words in _words(button):
                return self._form(found)
        raise AssertionError(f"there is no form {words!r} in {self.text}")

    def _form(self, found: Tag) -> Form:
        fields = []
        for field in found.find_all(["input", "select", "button"]):
            if (name := field.get("name")) is None or field.get("type") == "file":
                continue
            if field.get("type") in ("checkbox", "radio") and not field.has_attr("checked"):
                continue
            if field.name == "select":
                chosen = field.find("option", selected=True) or field.find("option")
                assert isinstance(chosen, Tag)
                fields.append((str(name), str(chosen["value"])))
            elif field.name == "input":
                fields.append((str(name), str(field.get("value", ""))))
        return Form(
            action=str(found.get("action", self.path)),
            method=str(found.get("method", "get")),
            multipart=found.get("enctype") == "multipart/form-data",
            fields=fields,
        )


class Browser:
    """Somebody's browser."""

    def __init__(self, client: httpx2.AsyncClient, clock: VirtualClock) -> None:
        self.client, self.clock = client, clock
        self._page: Shown | None = None

    @property
    def page(self) -> Shown:
        assert self._page is not None, "no page is open"
        return self._page

    async def open(self, path: str) -> Shown:
        return await self._shown(await self.client.get(path, headers={"sec-fetch-site": "none"}))

    async def follow(self, words: str) -> Shown:
        return await self.open(self.page.link(words))

    async def submit(self, words: str, *, file: tuple[str, bytes] | None = None, **values: Any) -> Shown:
        """Fill in the form with this button and send it."""
        return await self._shown(await self.send(self.page.form(words), file=file, **values))

    async def send(self, form: Form, *, file: tuple[str, bytes] | None = None, **values: Any) -> httpx2.Response:
        """Send a form, and don't follow where it leads."""
        fields = [(name, value) for name, value in form.fields if name not in values]
        for name, given in values.items():
            fields += [(name, str(value)) for value in (given if isinstance(given, list) else [given])]
        path = form.action.partition("#")[0]
        headers = {"sec-fetch-site": "same-origin", "origin": "http://testserver"}
        if form.method == "get":
            return await self.client.get(path, params=tuple(fields), headers=headers)
        data: dict[str, list[str]] = {}
        for name, value in fields:
            data.setdefault(name, []).append(value)
        files = {"file": (file[0], file[1], "text/csv")} if file is not None else None
        if form.multipart and files is None:
            files = {"file": ("", b"", "application/octet-stream")}
        return await self.client.post(path, data=data, files=files, headers=headers)

    async def _shown(self, response: httpx2.Response) -> Shown:
        while response.status_code in _FOLLOWED:
            location = response.headers["location"]
            assert location.startswith("/"), location
            response = await self.client.get(location)
        self._page = page = Shown(response)
        if response.headers["content-type"].startswith("text/html"):
            _look_over(page)
        return page

    async def sign_up(self, name: str) -> None:
        """Make an account, in the way that people do."""
        await self.open("/sign-up")
        page = await self.submit("Create the account", email=f"{name}@example.com", password="correct horse")
        assert "you are signed in" in page.text


def _look_over(page: Shown) -> None:
    """What holds for every page."""
    soup = page.soup
    assert len(page.response.content) < LARGEST
    assert soup.html is not None
    assert soup.html["lang"] == "en"
    assert len(soup.find_all("h1")) == 1, page.every("h1")
    assert soup.title is not None
    assert soup.title.string
    assert not soup.find_all("style")
    assert not soup.find_all(style=True)
    for script in soup.find_all("script"):
        assert str(script["src"]).startswith(("/static/", "/ops/static/"))
        assert not script.string
    for link in soup.find_all(["img", "link", "script", "iframe"]):
        address = str(link.get("src") or link.get("href"))
        assert address.startswith("/"), address
    for tag in soup.find_all():
        assert not any(name.startswith("on") for name in tag.attrs), tag
    ids = [tag["id"] for tag in soup.find_all(id=True)]
    assert len(ids) == len(set(ids)), ids
    for field in soup.select("input:not([type=hidden]), select, textarea"):
        named = field.get("aria-label") or soup.find("label", attrs={"for": str(field.get("id"))})
        assert named, field
    policy = page.response.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def _words(tag: Tag) -> str:
    return " ".join(tag.get_text(" ").split()).replace(" ,", ",").replace(" .", ".")
