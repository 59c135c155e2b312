// The card form is Stripe's, in a frame of Stripe's: what is typed into it never comes to this site.

const form = document.getElementById("card-form");
const fields = document.getElementById("card-fields");
const problem = document.getElementById("card-problem");
const button = form.querySelector("button");
const { key, account } = form.dataset;
let payment; // what Stripe confirms with, and the form that was made for it

function say(text) {
  problem.textContent = text;
  problem.hidden = !text;
  if (text) {
    problem.focus();
  }
}

async function begin() {
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form) }).catch(() => null);
  if (!answer?.headers.get("content-type")?.startsWith("application/json")) {
    return say("The box office does not answer just now. You were not charged. Try again in a moment.");
  }
  const { next, clientSecret } = await answer.json();
  if (!clientSecret) {
    return location.assign(next); // it is over, paid, or with the bank: the page says which
  }
  const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "night" : "stripe";
  const stripe = window.Stripe(key, account ? { stripeAccount: account } : {});
  const elements = stripe.elements({ clientSecret, appearance: { theme } });
  const element = elements.create("payment");
  const shown = await new Promise((then) => {
    element.on("ready", () => then(true));
    element.on("loaderror", () => then(false));
    element.mount(fields);
  });
  if (!shown) {
    return say("Stripe's card form could not be shown. You were not charged. Load the page again.");
  }
  payment = { stripe, elements, next };
  button.textContent = button.dataset.then;
  element.focus();
}

async function confirm() {
  const { stripe, elements, next } = payment;
  const confirmParams = { return_url: new URL(next, location).href };
  const { error } = await stripe.confirmPayment({ elements, confirmParams, redirect: "if_required" });
  if (error?.type === "validation_error") {
    return say(error.message);
  }
  location.assign(next); // paid, declined, or not known yet: the page says which
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (form.dataset.busy) {
    return;
  }
  form.dataset.busy = "yes";
  button.setAttribute("aria-busy", "true");
  say("");
  try {
    await (payment ? confirm() : begin());
  } catch {
    say("Something went wrong on the way to Stripe. Look at your order before you try again.");
  }
  button.removeAttribute("aria-busy");
  delete form.dataset.busy;
  delete form.dataset.sent; // a second click is for this script to judge
});

document.getElementById("card-loading").hidden = true;
form.hidden = false;
if (!window.Stripe) {
  button.hidden = true;
  say("Stripe's card form could not be loaded. You were not charged. Load the page again.");
}
