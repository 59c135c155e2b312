// Everything works without this file. It spares a second click and says how many tickets are chosen.

for (const form of document.querySelectorAll('form[method="post"]')) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
    }
    form.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-busy", "true");
  });
}

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
for (const form of document.querySelectorAll("form[data-choice]")) {
  const button = form.querySelector(".buy button");
  const plain = button.textContent;
  const tell = () => {
    const chosen = [...form.querySelectorAll('[name="ticket"]:checked')];
    const currencies = new Set(chosen.map((box) => box.dataset.currency));
    button.textContent = plain;
    if (currencies.size === 1) {
      const [currency] = currencies;
      const format = new Intl.NumberFormat("en-US", { style: "currency", currency });
      const minor = chosen.reduce((sum, box) => sum + Number(box.dataset.minor), 0);
      const digits = Number(chosen[0].dataset.digits);
      const tickets = chosen.length === 1 ? "ticket" : "tickets";
      button.textContent = `Buy ${chosen.length} ${tickets} for ${format.format(minor / 10 ** digits)}`;
    }
  };
  form.addEventListener("change", tell);
  addEventListener("pageshow", tell); // the back button brings chosen ones back
  tell();
}

// What changes by itself is looked at again every few seconds: `data-refresh` says how many.
async function refresh(part) {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) {
    return part;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(part.id);
  if (!fresh) {
    return part;
  }
  document.title = page.title;
  if (fresh.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) {
    part.replaceWith(fresh);
    return fresh;
  }
  return part;
}

async function watch(part) {
  while (part.dataset.refresh) {
    await new Promise((done) => setTimeout(done, part.dataset.refresh * 1000));
    part = await refresh(part).catch(() => part);
  }
}

document.querySelectorAll("[data-refresh][id]").forEach(watch);

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
    if (left === 0 && !place.dataset.over) {
      place.dataset.over = "yes";
      setTimeout(() => location.reload(), 2000);
    }
  }
}

if (document.querySelector("[data-until]")) {
  countDown();
  setInterval(countDown, 500);
}
