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
