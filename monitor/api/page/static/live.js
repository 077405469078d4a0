// Live updates without reload: the server says that something changed, we fetch the page and swap its main part.
// Open details, focus and what is being typed are kept. Without this script the page is whole, only not live.
"use strict";
(() => {
  const badge = document.getElementById("live");
  // Somebody types, or has typed something that was not sent yet: nothing is taken away from under their hands.
  const fields = () => [...document.querySelectorAll("main :is(input:not([type=hidden]), textarea)")];
  const busy = () => fields().some((each) => each === document.activeElement || each.value !== each.defaultValue);

  // Elements are new ones after each swap: each is found again by what it is called, and which of these it is.
  const nameOf = (each) => [each.tagName, each.id, each.getAttribute("href"), each.parentElement.dataset.name, each.textContent.trim().slice(0, 40)].join("|");
  function named(selector) {
    const seen = new Map();
    return [...document.querySelectorAll(selector)].map((each) => {
      const name = nameOf(each), nth = seen.get(name) ?? 0;
      seen.set(name, nth + 1);
      return [`${name}|${nth}`, each];
    });
  }
  const openOnes = () => new Set(named("main details > summary").filter(([, each]) => each.parentElement.open).map(([name]) => name));
  const focusables = () => named("main :is(a[href], button, input, select, textarea, summary)");

  // What can be scrolled sideways must be reached by the keyboard, too.
  function reach() {
    for (const table of document.querySelectorAll(".table, main pre")) {
      const hidden = table.scrollWidth > table.clientWidth;
      const name = table.closest("section")?.getAttribute("aria-labelledby");
      for (const [attribute, value] of [["tabindex", "0"], ["role", name && "region"], ["aria-labelledby", name]]) {
        if (hidden && value) table.setAttribute(attribute, value); else table.removeAttribute(attribute);
      }
    }
  }
  reach();
  addEventListener("resize", reach);

  async function refresh() {
    if (busy() || document.hidden) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (busy()) return;
    const open = openOnes();
    const focused = focusables().find(([, each]) => each === document.activeElement)?.[0];
    for (const part of ["main", ".clock time"]) {
      const now = document.querySelector(part), then = fresh.querySelector(part);
      if (now && then) now.replaceChildren(...then.childNodes);
    }
    for (const [name, summary] of named("main details > summary")) if (open.has(name)) summary.parentElement.open = true;
    reach();
    if (focused) focusables().find(([name]) => name === focused)?.[1].focus({ preventScroll: true });
  }

  const show = (text) => { badge.hidden = false; badge.textContent = text; };
  const refreshed = () => refresh().catch(() => {});

  // A browser keeps six connections to a host: one page of all that are open listens to the server and tells the others.
  const street = document.body.dataset.live;
  const others = street && "BroadcastChannel" in window ? new BroadcastChannel(street) : null;
  function listen() {
    const stream = new EventSource(street);
    const tell = (word) => { heard(word); others?.postMessage(word); };
    stream.onopen = () => tell("live");
    stream.onmessage = () => tell("changed");
    stream.onerror = () => tell("not live");
    if (others) others.onmessage = ({ data }) => { if (data === "who?") others.postMessage(badge.textContent); };
  }
  function heard(word) {
    if (word === "changed") refreshed();
    else if (word === "live" || word === "not live") show(word);
  }
  function begin() {
    document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshed(); });
    if (!others || !navigator.locks) return listen();
    others.onmessage = ({ data }) => heard(data);
    others.postMessage("who?");
    // Held until this page goes: then another one takes over.
    navigator.locks.request(street, () => { listen(); return new Promise(() => {}); });
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      // Without https a browser gives no clipboard: the text is selected, for a person to copy.
      getSelection().selectAllChildren(button.previousElementSibling);
      button.textContent = "Selected";
    }
  });

  if (street && "EventSource" in window) begin();
})();
