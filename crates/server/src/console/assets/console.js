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

// Passkeys: what the browser gives goes into the hidden fields of the form.
const octets = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
const text = (octets) =>
  btoa(String.fromCharCode(...new Uint8Array(octets))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const known = (ids) => ids.filter(Boolean).map((id) => ({ type: "public-key", id: octets(id) }));

/** What is to be signed: said by the page, or asked for now. */
async function asked(button) {
  const { challenge, relyingParty, credentials } = button.dataset;
  if (challenge) return { challenge, relyingParty, credentials: credentials.split(" ") };
  const body = new URLSearchParams({ csrf: button.form.elements.csrf.value });
  const answer = await fetch("/console/second-factor/passkeys/challenge", { method: "POST", body, redirect: "error" });
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  return answer.json();
}

async function showPasskey({ challenge, relyingParty, credentials }) {
  const publicKey = { challenge: octets(challenge), rpId: relyingParty, allowCredentials: known(credentials) };
  publicKey.userVerification = "discouraged";
  const { rawId, response } = await navigator.credentials.get({ publicKey });
  const { clientDataJSON, authenticatorData, signature } = response;
  return { credential: rawId, clientData: clientDataJSON, authenticatorData, signature };
}

async function makePasskey({ challenge, relyingParty, credentials }, { user, email }) {
  const { response } = await navigator.credentials.create({
    publicKey: {
      challenge: octets(challenge),
      rp: { id: relyingParty, name: "Countersign" },
      user: { id: octets(user), name: email, displayName: email },
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: "public-key", alg })),
      excludeCredentials: known(credentials),
      authenticatorSelection: { residentKey: "discouraged", userVerification: "discouraged" },
    },
  });
  const [authenticatorData, publicKey] = [response.getAuthenticatorData(), response.getPublicKey()];
  return { clientData: response.clientDataJSON, authenticatorData, publicKey };
}

async function passkey(button) {
  const { form } = button;
  const says = form.querySelector("[data-passkey-says]");
  const isMade = button.dataset.passkey === "make";
  if (isMade && !form.reportValidity()) return;
  says.textContent = "";
  try {
    const wanted = await asked(button);
    const given = isMade ? await makePasskey(wanted, button.dataset) : await showPasskey(wanted);
    for (const [name, value] of Object.entries(given)) form.elements[name].value = text(value);
  } catch (error) {
    says.textContent = `The browser gives no passkey: ${error.message}`;
    return;
  }
  if (button.dataset.challenge) return form.submit();
  form.elements.code.required = false;
  says.textContent = "The passkey is read. Now choose what to change.";
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-passkey]");
  if (button?.dataset.copy) copy(button);
  if (button?.dataset.passkey) passkey(button);
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
