// Makes the first owner. The setup token comes in the fragment of this page's address, which browsers
// do not send; from here it goes into the body of one request. What it gets back stays in memory.
"use strict";

const SHORTEST_PASSWORD = 12;
const API = `${location.origin}/api/v1`;

const byId = (id) => document.getElementById(id);
const main = byId("main");
const form = byId("form");

let session = "";

function tokenOfAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
}

function show(state) {
  main.dataset.state = state;
  document.title = byId(`${state}-title`).textContent + " · Countersign";
  byId(`${state}-title`).focus();
}

function setBusy(button, isBusy) {
  button.setAttribute("aria-disabled", String(isBusy));
}

const isBusy = (button) => button.getAttribute("aria-disabled") === "true";

function setProblem(id, text) {
  const place = byId(id);
  place.textContent = text;
  place.hidden = text === "";
}

function setFieldProblem(name, text) {
  setProblem(`${name}-problem`, text);
  form.elements[name].setAttribute("aria-invalid", String(text !== ""));
}

/** Shows what is wrong with which field, and goes to the first of them. */
function showFieldProblems(problems) {
  for (const name of ["token", "email", "password"]) setFieldProblem(name, problems[name] ?? "");
  if (problems.token) byId("token-field").hidden = false;
  const first = ["token", "email", "password"].find((name) => problems[name]);
  if (first) form.elements[first].focus();
}

function problemsOf(values) {
  const problems = {};
  if (values.token === "") problems.token = "Paste the token, or open the link that the server printed.";
  if (!/^[^@\s]+@[^@\s]+$/.test(values.email)) problems.email = "Enter an e-mail address, such as you@example.com.";
  const missing = SHORTEST_PASSWORD - [...values.password].length;
  if (missing > 0) {
    const isEmpty = missing === SHORTEST_PASSWORD;
    const characters = missing === 1 ? "1 character is" : `${missing} characters are`;
    problems.password = isEmpty ? "Choose a password." : `${characters} missing.`;
  }
  return problems;
}

/** Calls the API; `body` is always an object. */
async function post(path, body, headers = {}) {
  const response = await fetch(API + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    credentials: "omit",
    cache: "no-store",
  });
  return { status: response.status, body: await response.json().catch(() => ({})) };
}

function sentence(answer) {
  const said = answer.body.error ?? `The server answered ${answer.status}`;
  return answer.body.requestId ? `${said}. Request ${answer.body.requestId}.` : `${said}.`;
}

const UNREACHABLE = "The server did not answer. Is it still running?";

function showRefusal(answer) {
  const fields = answer.body.fields ?? {};
  if (answer.status === 409) {
    show("done");
  } else if (answer.body.code === "SETUP_TOKEN_REFUSED") {
    showFieldProblems({
      token: "The server does not take this token: it is mistyped, from an earlier start, or older than an hour. "
        + "Starting the server again makes a new one.",
    });
  } else if (Object.keys(fields).length > 0) {
    showFieldProblems(fields);
  } else {
    setProblem("problem", sentence(answer));
  }
}

function showOwner(email) {
  byId("owner").textContent = email;
  setLoginCommand(email);
  form.reset();
  history.replaceState(null, "", location.pathname);
  show("ready");
}

async function setUp() {
  const values = {
    token: form.elements.token.value.trim(),
    email: form.elements.email.value.trim(),
    password: form.elements.password.value,
  };
  setProblem("problem", "");
  const problems = problemsOf(values);
  showFieldProblems(problems);
  if (Object.keys(problems).length > 0) return;
  try {
    const answer = await post("/setup", values);
    if (answer.status === 201) {
      session = answer.body.token;
      showOwner(answer.body.user.email);
    } else {
      showRefusal(answer);
    }
  } catch {
    setProblem("problem", UNREACHABLE);
  }
}

async function makeKey() {
  setProblem("key-problem", "");
  try {
    const answer = await post("/enrollment-keys", {}, { authorization: `Bearer ${session}` });
    if (answer.status !== 201) {
      setProblem("key-problem", sentence(answer));
      return;
    }
    byId("enrol-command").textContent = answer.body.command;
    byId("key-offer").hidden = true;
    byId("key-made").hidden = false;
    byId("key-note").focus();
  } catch {
    setProblem("key-problem", UNREACHABLE);
  }
}

/** Runs `work` unless it is running already. */
async function once(button, work) {
  if (isBusy(button)) return;
  setBusy(button, true);
  await work();
  setBusy(button, false);
}

/** Puts this server's address and the owner's e-mail into the command that signs in. */
function setLoginCommand(email) {
  const quoted = JSON.stringify(email).replaceAll("'", "'\\''");
  const command = byId("login-command");
  command.textContent = command.textContent
    .replace(/^admin=.*$/m, () => `admin=${API}`)
    .replace('"you@example.com"', () => quoted);
}

async function copy(button) {
  const source = byId(button.dataset.copies);
  try {
    await navigator.clipboard.writeText(source.textContent);
    byId("said").textContent = "Copied";
    button.textContent = "Copied";
  } catch {
    // Without the clipboard (plain HTTP on another machine): mark it, to be copied by hand.
    getSelection().selectAllChildren(source);
    byId("said").textContent = "Selected";
    button.textContent = "Selected";
  }
}

function takeToken() {
  const token = tokenOfAddress();
  form.elements.token.value = token;
  byId("token-field").hidden = token !== "";
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  once(byId("submit"), setUp);
});

byId("make-key").addEventListener("click", (event) => once(event.currentTarget, makeKey));

byId("reveal").addEventListener("click", (event) => {
  const password = form.elements.password;
  const isShown = password.type === "text";
  password.type = isShown ? "password" : "text";
  event.currentTarget.setAttribute("aria-pressed", String(!isShown));
  event.currentTarget.textContent = isShown ? "Show" : "Hide";
});

for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", () => copy(button));
}

addEventListener("hashchange", takeToken);
takeToken();
setLoginCommand("you@example.com");
if (main.dataset.state === "open") (tokenOfAddress() === "" ? form.elements.token : form.elements.email).focus();
