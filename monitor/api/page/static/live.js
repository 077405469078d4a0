// Live updates without reload: the server says that something changed, we fetch the page and swap its main part.
// Open details, focus and what is being typed are kept. Without this script the page is whole, only not live.
"use strict";
(() => {
  const badge = document.getElementById("live");
  // Somebody types, or has typed something that was not sent yet: nothing is taken away from under their hands.
  const fields = () => [...document.querySelectorAll("main :is(input:not([type=hidden]), textarea)")];
  const busy = () => fields().some((each) => each === document.activeElement || each.value !== each.defaultValue);

  const openOnes = () => new Set([...document.querySelectorAll("main details[open] > summary")].map((each) => each.textContent.trim().slice(0, 40)));

  // Elements are new ones after each swap: what had the focus is found again by what it is called, and which of these.
  const focusables = () => [...document.querySelectorAll("main :is(a[href], button, input, select, textarea, summary)")];
  const nameOf = (each) => [each.tagName, each.id, each.getAttribute("href"), each.textContent.trim().slice(0, 40)].join("|");
  function placeOfFocus() {
    const focused = document.activeElement;
    if (!focused || !focused.closest("main") || focused.id === "main") return null;
    const name = nameOf(focused);
    return { name, nth: focusables().filter((each) => nameOf(each) === name).indexOf(focused) };
  }

  async function refresh() {
    if (busy() || document.hidden) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (busy()) return;
    const open = openOnes();
    const focused = placeOfFocus();
    for (const part of ["main", ".clock time"]) {
      const now = document.querySelector(part), then = fresh.querySelector(part);
      if (now && then) now.replaceChildren(...then.childNodes);
    }
    for (const summary of document.querySelectorAll("main details > summary")) {
      if (open.has(summary.textContent.trim().slice(0, 40))) summary.parentElement.open = true;
    }
    if (focused) focusables().filter((each) => nameOf(each) === focused.name)[focused.nth]?.focus({ preventScroll: true });
  }

  function listen() {
    const stream = new EventSource(document.body.dataset.live);
    stream.onopen = () => { badge.hidden = false; badge.textContent = "live"; };
    stream.onmessage = () => { refresh().catch(() => {}); };
    stream.onerror = () => { badge.hidden = false; badge.textContent = "not live"; };
    document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh().catch(() => {}); });
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });

  if (document.body.dataset.live && "EventSource" in window) listen();
})();
