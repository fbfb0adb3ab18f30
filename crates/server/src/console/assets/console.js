// Keeps pages up to date. Everything works without it.
"use strict";

document.documentElement.dataset.script = "on";

const said = () => document.getElementById("said");
const boxes = (name) => [...document.querySelectorAll(`input[type=checkbox][name="${name}"]`)];

/** Says how many boxes are ticked, where a page counts them. */
function count() {
  for (const place of document.querySelectorAll("[data-counts]")) {
    const ticked = boxes(place.dataset.counts).filter((box) => box.checked).length;
    place.textContent = ticked > 0 ? `With ${ticked} selected:` : "With the selected:";
  }
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  let word = "Copied";
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    // Without the clipboard (plain HTTP on another machine): mark it, to be copied by hand.
    getSelection().selectAllChildren(source);
    word = "Selected";
  }
  button.textContent = word;
  said().textContent = word;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});

document.addEventListener("change", (event) => {
  const { target } = event;
  if (target.dataset.ticks) for (const box of boxes(target.dataset.ticks)) box.checked = target.checked;
  if (target.matches("[data-submits]")) target.form.requestSubmit();
  count();
  if (stale.size > 0) refresh();
});

// What is shown in a region changed: it is fetched again and put in the place of what is there.
const stale = new Set();
let isFetching = false;

/** Whether somebody is at work in a region: then it stays as it is, until they are done. */
function isBusy(region) {
  const at = document.activeElement;
  const types = region.contains(at) && at.matches("input:not([type=checkbox]), select, textarea");
  return types || region.querySelector("input[type=checkbox]:checked, details[open]") !== null;
}

function put(fresh, region) {
  const found = fresh.getElementById(region.id);
  if (!found || found.innerHTML === region.innerHTML) return;
  const at = region.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  region.replaceChildren(...found.childNodes);
  if (at) region.querySelector(`a[href="${CSS.escape(at)}"]`)?.focus();
}

async function refresh() {
  if (isFetching || document.hidden) return;
  isFetching = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of stale) {
      if (isBusy(region)) continue;
      stale.delete(region);
      put(fresh, region);
    }
    for (const badge of ["header.side nav", "header.top nav"]) {
      const [now, then] = [fresh.querySelector(badge), document.querySelector(badge)];
      if (now && then && !then.contains(document.activeElement)) then.replaceChildren(...now.childNodes);
    }
    count();
  } catch {
    // Signed out or unreachable: the page stays as it is, and the next visit tells.
  } finally {
    isFetching = false;
  }
}

function mark(topics) {
  for (const region of document.querySelectorAll("[data-live]")) {
    if (topics === null || region.dataset.live.split(" ").some((topic) => topics.includes(topic))) stale.add(region);
  }
  if (stale.size > 0) refresh();
}

let events = null;

/** Listens while the page is seen; what changed meanwhile is fetched when it is seen again. */
function listen() {
  if (document.hidden || !document.querySelector("[data-live]")) {
    events?.close();
    events = null;
    return;
  }
  if (events) return;
  const isAgain = document.documentElement.dataset.live !== undefined;
  events = new EventSource("/console/events");
  events.addEventListener("listening", () => {
    document.documentElement.dataset.live = "on";
    if (isAgain) mark(null);
  });
  events.addEventListener("changed", (event) => mark(event.data.split(" ")));
}

document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", () => events?.close());
listen();
count();
