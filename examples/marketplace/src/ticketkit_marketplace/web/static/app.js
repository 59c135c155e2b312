// Everything works without this file. It spares a second click, says how many tickets are chosen, counts the time down, and
// looks at the page again when something on it has changed.

const main = document.getElementById("main");

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") {
    return;
  }
  if (form.dataset.sent) {
    event.preventDefault();
  }
  form.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-busy", "true");
});

// A page that comes back from the browser's memory can be sent again; its key makes that harmless.
addEventListener("pageshow", (event) => {
  if (!event.persisted) {
    return;
  }
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
  }
});

document.querySelector("[autofocus]#errors")?.focus();

// The button says how many tickets are chosen and what they cost together; sums are of minor units.
const plain = new WeakMap();

function tell(form) {
  const button = form.querySelector(".buy button");
  if (!button) {
    return;
  }
  plain.set(button, plain.get(button) ?? button.textContent);
  const chosen = [...form.querySelectorAll('[name="ticket"]:checked')];
  const currencies = new Set(chosen.map((box) => box.dataset.currency));
  let text = plain.get(button);
  if (currencies.size === 1) {
    const [currency] = currencies;
    const format = new Intl.NumberFormat("en-US", { style: "currency", currency });
    const minor = chosen.reduce((sum, box) => sum + Number(box.dataset.minor), 0);
    const digits = Number(chosen[0].dataset.digits);
    const tickets = chosen.length === 1 ? "ticket" : "tickets";
    text = `Buy ${chosen.length} ${tickets} for ${format.format(minor / 10 ** digits)}`;
  }
  if (button.textContent !== text) {
    button.textContent = text;
  }
}

function tellAll() {
  document.querySelectorAll("form[data-choice]").forEach(tell);
}

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-choice]");
  if (form) {
    tell(form);
  }
});
addEventListener("pageshow", tellAll); // the back button brings chosen ones back
tellAll();

// The countdown goes by the server's clock: how far this one is off is known from the page's own time.
const ANNOUNCED = new Map([[300, "5 minutes"], [60, "1 minute"]]);

function countDown() {
  for (const place of document.querySelectorAll("[data-until]")) {
    place.off ??= Date.parse(place.dataset.now) - Date.now();
    const left = Math.max(0, Math.round((Date.parse(place.dataset.until) - Date.now() - place.off) / 1000));
    const text = `, ${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left`;
    if (place.textContent !== text) {
      place.textContent = text;
    }
    const status = document.getElementById("time-left");
    if (status && ANNOUNCED.has(left)) {
      status.textContent = `${ANNOUNCED.get(left)} left to pay. You can ask for more time below.`;
    }
    if (left === 0 && !place.over) {
      place.over = setTimeout(() => {
        place.over = undefined;
        soon();
      }, 2000);
    }
  }
}

if (document.querySelector("[data-until]")) {
  countDown();
  setInterval(countDown, 500);
}

// Looking again: the page is fetched, and where the server says something else than before, it is changed in place. What has
// not changed there is left as it is here: what somebody is filling in, and what scripts have made of it.
let said = main.cloneNode(true);

const key = (node) => node.id || (node.nodeName === "FORM" ? node.getAttribute("action") : "") || "";
const alike = (one, other) =>
  one.nodeName === other.nodeName && key(one) === key(other) && (key(one) !== "" || one.className === other.className);

function keeps(place) {
  if (place.nodeType === Node.ELEMENT_NODE && place.matches("[data-keep], [name=key]")) {
    return true; // another script's, or the key of the form's command
  }
  if (place.name !== "seen") {
    return false;
  }
  // The price that a buyer has seen stays with what they have chosen, or are about to: another one is asked about.
  const row = place.closest("tr");
  return Boolean(row ? row.querySelector(":checked") : place.form.matches(":has(button:is(:hover, :focus))"));
}

function change(place, before, after) {
  if (before.isEqualNode(after) || keeps(place)) {
    return;
  }
  if (place.nodeType !== Node.ELEMENT_NODE) {
    place.data = after.data;
    return;
  }
  for (const name of new Set([...before.getAttributeNames(), ...after.getAttributeNames()])) {
    const value = after.getAttribute(name);
    if (value === null) {
      place.removeAttribute(name);
    } else if (value !== before.getAttribute(name)) {
      place.setAttribute(name, value);
    }
  }
  if (before.innerHTML !== after.innerHTML) {
    changeChildren(place, before, after);
  }
}

function changeChildren(parent, before, after) {
  const wanted = new Set([...after.children].map(key));
  const known = [...before.childNodes];
  let place = parent.firstChild;
  for (const child of after.childNodes) {
    let found = place;
    while (found && !alike(found, child)) {
      found = child.nodeType === Node.ELEMENT_NODE ? found.nextSibling : null;
    }
    if (!found) {
      parent.insertBefore(document.importNode(child, true), place);
      continue;
    }
    while (place !== found && !(key(place) && wanted.has(key(place)))) {
      place = without(place);
    }
    if (place === found) {
      place = found.nextSibling;
    } else {
      parent.insertBefore(found, place);
    }
    const index = known.findIndex((node) => alike(node, child));
    change(found, index < 0 ? found.cloneNode(true) : known.splice(index, 1)[0], child);
  }
  while (place) {
    place = without(place);
  }
}

// Takes something away, and returns what comes after it. A chosen ticket stays where it is, to be asked about.
function without(node) {
  const next = node.nextSibling;
  if (node.nodeName !== "TR" || !(node.classList.contains("gone") || node.querySelector(":checked"))) {
    node.remove();
  } else if (!node.classList.contains("gone")) {
    ask(node).catch(() => {});
  }
  return next;
}

// A chosen ticket is not on the page any more: it is on the next one now, or gone.
async function ask(row) {
  const link = row.querySelector("a");
  const page = await fetched(link.href);
  if (page && !page.querySelector("[name=seen]")) {
    const box = row.querySelector("[name=ticket]");
    box.checked = false;
    box.disabled = true;
    row.className = "gone";
    const badge = Object.assign(document.createElement("span"), { className: "badge warn", textContent: "Gone" });
    row.querySelector("th").append(" ", badge);
    tell(row.closest("form"));
    announce(`${link.textContent} is gone. You have not ordered it.`);
  }
}

async function fetched(address) {
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  return answer.ok && !answer.redirected ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

function announce(text) {
  document.getElementById("news").textContent = text;
}

function headlines() {
  const found = main.querySelectorAll("h1, .note:not([role]), dd.big");
  const places = [...found].filter((place) => !place.querySelector("[data-until]"));
  return places.map((place) => (place.closest(".facts > div") ?? place).innerText.trim().replace(/\s+/g, " "));
}

async function look() {
  const page = await fetched(location.href);
  const fresh = page?.getElementById("main");
  const busy = document.querySelector('form[data-sent], [aria-busy="true"]');
  if (!fresh || busy || (document.getElementById("errors") && !page.getElementById("errors"))) {
    return;
  }
  const before = headlines();
  const focused = document.activeElement;
  change(main, said, fresh);
  said = fresh;
  document.title = page.title;
  countDown();
  tellAll();
  if (focused !== document.activeElement) {
    (focused.isConnected ? focused : main).focus({ preventScroll: true });
  }
  const news = headlines().filter((text) => !before.includes(text));
  if (news.length) {
    announce(news.join(" "));
  }
}

// When to look: soon after the server says so, not more than once a second; and now and then by itself, as `data-refresh` says.
const PAUSE = 1000;
const SLOWLY = 60; // seconds, while the server tells
const UNHEARD = 60_000;
let looked = 0;
let waiting = 0;
let looking = false;

function soon() {
  waiting ||= setTimeout(lookNow, looking ? PAUSE : Math.max(0, looked + PAUSE - Date.now()));
}

async function lookNow() {
  waiting = 0;
  if (looking) {
    soon();
    return;
  }
  looking = true;
  await look().catch(() => {}); // offline: later
  looking = false;
  looked = Date.now();
  tune();
}

let stream;
let refused = -UNHEARD;

function tune() {
  const address = document.hidden ? undefined : main.dataset.live;
  if (stream && stream.address !== address) {
    stream.close();
    stream = undefined;
  }
  if (address && !stream && Date.now() - refused >= UNHEARD) {
    stream = new EventSource(`${address}&since=${encodeURIComponent(main.dataset.since)}`);
    stream.address = address;
    stream.addEventListener("change", soon);
    stream.addEventListener("again", soon);
    stream.addEventListener("error", () => {
      if (stream?.readyState === EventSource.CLOSED) {
        stream = undefined;
        refused = Date.now();
      }
    });
  }
}

// A page that nobody sees needs no connection, of which a browser has few; the server knows what it missed.
function watch() {
  tune();
  const own = [...document.querySelectorAll("[data-refresh]")].map((part) => Number(part.dataset.refresh));
  const heard = stream?.readyState === EventSource.OPEN;
  const every = Math.min(...own) * PAUSE;
  if (own.length && !document.hidden && Date.now() - looked >= (heard ? Math.max(every, SLOWLY * PAUSE) : every)) {
    soon();
  }
}

if (document.querySelector("[data-refresh]")) {
  looked = Date.now();
  setInterval(watch, PAUSE);
  document.addEventListener("visibilitychange", watch);
  addEventListener("pageshow", watch);
  addEventListener("pagehide", () => {
    stream?.close();
    stream = undefined;
  });
  watch();
}
