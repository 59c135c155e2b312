"""Stripe in the browser, as far as a test needs it: Stripe.js, its frame, and its API, which is the simulator's.

Real Stripe.js was never loaded here. What this one keeps to is Stripe's documentation of `elements`, the Payment
Element and `confirmPayment` (docs.stripe.com/js), and that the card is typed into a frame of another origin.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import anyio
from playwright.async_api import Page, Route

from ticketkit_stripe.simulator.control import Control

SITES: Final = ("https://js.stripe.com/", "https://api.stripe.com/")
PAYS: Final = "4242424242424242"
DECLINED: Final = "4000000000009995"
ASKS: Final = "4000002760003184"
CARDS: Final = {
    PAYS: "pm_card_visa",
    DECLINED: "pm_card_chargeDeclinedInsufficientFunds",
    ASKS: "pm_card_authenticationRequired",
}
"""Test cards (docs.stripe.com/testing), and what the simulator calls them."""

SCRIPT: Final = """
const FROM = "https://js.stripe.com";
window.Stripe = (key, options = {}) => {
  if (!/^pk_test_/.test(key)) throw new Error("IntegrationError: no publishable key");
  let frame;
  const ask = (message) => new Promise((done) => {
    addEventListener("message", function heard(event) {
      if (event.origin !== FROM || event.source !== frame.contentWindow) return;
      removeEventListener("message", heard);
      done(event.data);
    });
    frame.contentWindow.postMessage(message, FROM);
  });
  return {
    elements({ clientSecret, appearance }) {
      if (!/^pi_.+_secret_.+$/.test(clientSecret)) throw new Error("IntegrationError: no client secret");
      fetch("https://api.stripe.com/v1/elements/sessions", { method: "POST", body: clientSecret });
      return {
        clientSecret,
        create(kind) {
          if (kind !== "payment") throw new Error("IntegrationError: no such element");
          const heard = {};
          return {
            on: (name, then) => { heard[name] = then; },
            focus: () => frame.focus(),
            mount(place) {
              frame = document.createElement("iframe");
              frame.title = "Secure payment input frame";
              frame.width = "100%";
              frame.onload = () => heard.ready?.();
              frame.src = FROM + "/frame.html?theme=" + appearance.theme;
              place.append(frame);
            },
          };
        },
      };
    },
    async confirmPayment({ elements, confirmParams, redirect }) {
      if (redirect !== "if_required") throw new Error("This one never sends anybody away.");
      return await ask({ secret: elements.clientSecret, returnUrl: confirmParams.return_url });
    },
  };
};
"""
FRAME: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Card</title>
<style>body { font: 1rem sans-serif; color: #111; background: #fff } input { min-height: 2rem }</style>
<main><h1 hidden>Card</h1><label>Card number <input id="number" autocomplete="cc-number"></label>
<p><button id="approve" hidden>Complete authentication</button></p></main>
<script>
const post = async (path, body) =>
  (await fetch("https://api.stripe.com" + path, { method: "POST", body: JSON.stringify(body) })).json();
addEventListener("message", async ({ data, origin, source }) => {
  const card = document.getElementById("number").value;
  if (!card) {
    const error = { type: "validation_error", message: "Your card number is incomplete." };
    return source.postMessage({ error }, origin);
  }
  let answer = await post("/v1/confirm", { ...data, card });
  if (answer.action) {
    const approve = document.getElementById("approve");
    approve.hidden = false;
    await new Promise((done) => approve.addEventListener("click", done));
    answer = await post("/v1/authenticate", { intent: answer.action });
  }
  source.postMessage(answer, origin);
});
</script></html>
"""


@dataclass
class StripeJs:
    """Stands between a browser and Stripe's sites.

    Args:
        control: Of the simulator.

    Attributes:
        asked: Paths of Stripe's sites that were asked for.
    """

    control: Control
    asked: list[str] = field(default_factory=list)

    async def stand_in(self, page: Page) -> None:
        """Answer this window instead of Stripe."""
        await page.route("https://js.stripe.com/**", self._script)
        await page.route("https://api.stripe.com/**", self._api)

    async def _script(self, route: Route) -> None:
        path = self._noted(route)
        if path == "/frame.html":
            await route.fulfill(body=FRAME, content_type="text/html")
        else:
            await route.fulfill(body=SCRIPT, content_type="text/javascript")

    async def _api(self, route: Route) -> None:
        path, answer = self._noted(route), {}
        if path != "/v1/elements/sessions":
            sent = json.loads(route.request.post_data or "{}")
            answer = _told(await anyio.to_thread.run_sync(partial(self._do, path, sent)))
        await route.fulfill(json=answer, headers={"access-control-allow-origin": "*"})

    def _do(self, path: str, sent: dict[str, str]) -> dict[str, Any]:
        if path == "/v1/authenticate":
            return self.control.authenticate(sent["intent"])
        return self.control.confirm(sent["secret"], CARDS[sent["card"]], return_url=sent["returnUrl"])

    def _noted(self, route: Route) -> str:
        path = "/" + route.request.url.split("/", 3)[3].partition("?")[0]
        self.asked.append(path)
        return path


def _told(intent: dict[str, Any]) -> dict[str, Any]:
    if intent["status"] == "requires_action":
        return {"action": intent["id"]}
    if error := intent["last_payment_error"]:
        return {"error": {"type": "card_error", "code": error["code"], "message": error["message"]}}
    return {"paymentIntent": {"id": intent["id"], "status": intent["status"]}}
