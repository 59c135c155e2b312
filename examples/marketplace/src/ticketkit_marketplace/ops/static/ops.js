// Everything works without this file. With it, the part `data-live` of a page is fetched anew every two seconds.

for (const form of document.querySelectorAll('form[method="post"]')) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
    }
    form.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-busy", "true");
  });
}

addEventListener("pageshow", (event) => {
  for (const form of event.persisted ? document.querySelectorAll("form[data-sent]") : []) {
    delete form.dataset.sent;
    form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
  }
});

document.querySelector("[autofocus]#errors")?.focus();

const EVERY = 2000;
const state = document.getElementById("live-state");
const button = document.getElementById("pause");
let stopped = false;

function say(text) {
  if (state.textContent !== text) {
    state.textContent = text;
  }
}

// The focus stays where it was: what can have it there has an id that stays the same.
function swap(fresh) {
  const old = document.getElementById("live");
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = [...old.querySelectorAll(".scroll")].map((part) => part.scrollLeft);
  old.replaceWith(fresh);
  fresh.querySelectorAll(".scroll").forEach((part, place) => (part.scrollLeft = scrolled[place] ?? 0));
  if (focused) {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(10000) });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("live");
  if (answer.redirected || answer.status === 403) {
    location.reload(); // the session is over
  } else if (!answer.ok || !fresh) {
    throw new Error(answer.status);
  } else {
    swap(fresh);
  }
}

async function live() {
  for (;;) {
    await new Promise((done) => setTimeout(done, EVERY));
    if (stopped || document.hidden) {
      continue;
    }
    await refresh().then(
      () => say(""),
      () => say("The operations page does not answer; what you see is old."),
    );
  }
}

if (button && document.getElementById("live")) {
  document.getElementById("refresh").hidden = true;
  button.hidden = false;
  button.addEventListener("click", () => {
    stopped = !stopped;
    button.setAttribute("aria-pressed", String(stopped));
    say(stopped ? "Stopped: what you see stays as it is." : "");
  });
  live();
}
