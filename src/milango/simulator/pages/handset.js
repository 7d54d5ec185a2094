"use strict";

const POLL_MS = 600;
const REMEMBERED = "milango-handset-phones";
const at = (id) => document.getElementById(id);

let phone = "";
let shown = "";
let life = 1;
let drawn = null;
let busy = false;

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(REMEMBERED)) || [];
  } catch {
    return [];
  }
}

function remember(number) {
  const phones = [number, ...remembered().filter((other) => other !== number)].slice(0, 8);
  localStorage.setItem(REMEMBERED, JSON.stringify(phones));
  at("known-phones").replaceChildren(...phones.map((known) => new Option(known, known)));
}

async function usePhone(typed) {
  const answer = await fetch(`/handset/state?phone=${encodeURIComponent(typed)}`);
  if (!answer.ok) {
    at("line-hint").textContent = "Not a Kenyan mobile number";
    return;
  }
  const state = await answer.json();
  phone = state.phone;
  at("line-hint").textContent = "";
  at("handset-phone").value = phone;
  history.replaceState(null, "", `/handset?phone=${phone}`);
  remember(phone);
  draw(state);
}

function bubble(message) {
  const box = document.createElement("article");
  box.className = message.paid ? "sms paid" : "sms";
  box.dataset.testid = "message";
  const text = document.createElement("p");
  text.textContent = message.text;
  const time = document.createElement("time");
  time.textContent = message.at;
  box.append(text, time);
  return box;
}

function drawMessages(messages) {
  const key = phone + messages.map((message) => message.id).join();
  if (key === drawn) return;
  drawn = key;
  if (messages.length) {
    at("messages").replaceChildren(...messages.map(bubble));
    return;
  }
  const empty = document.createElement("p");
  empty.className = "empty";
  empty.textContent = phone ? "No messages yet. Waiting for a prompt." : "Type a number to begin.";
  at("messages").replaceChildren(empty);
}

function drawPrompt(prompts) {
  const prompt = prompts[0];
  at("shade").hidden = !prompt;
  if (!prompt) {
    shown = "";
    return;
  }
  if (prompt.id !== shown) {
    shown = prompt.id;
    life = Math.max(prompt.seconds_left, 1);
    busy = false;
    at("pin").value = "";
    at("prompt-hint").textContent = "";
    at("prompt-text").textContent = prompt.text;
    at("asks").hidden = prompt.auto;
    at("auto").hidden = !prompt.auto;
    if (!prompt.auto) at("pin").focus({ preventScroll: true });
  }
  at("prompt-left").textContent = `${prompt.seconds_left} s`;
  at("life").style.width = `${Math.min(100, (100 * prompt.seconds_left) / life)}%`;
}

function draw(state) {
  at("clock").textContent = state.time;
  drawMessages(state.messages);
  drawPrompt(state.prompts);
}

let looks = 0;

async function look() {
  if (!phone) return;
  const asked = phone;
  const turn = ++looks;
  const answer = await fetch(`/handset/state?phone=${asked}`);
  if (!answer.ok) return;
  const state = await answer.json();
  // An older look may come back later than a newer one: it would show an answered prompt again.
  if (asked === phone && turn === looks) draw(state);
}

async function poll() {
  try {
    await look();
    document.body.classList.remove("offline");
  } catch {
    document.body.classList.add("offline");
  }
  setTimeout(poll, POLL_MS);
}

async function reply(body) {
  if (!shown || busy) return;
  busy = true;
  const answer = await fetch(`/control/prompts/${encodeURIComponent(shown)}/answer`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  busy = false;
  if (answer.ok) drawPrompt([]);
  else at("prompt-hint").textContent = (await answer.json()).error;
  await look();
}

async function payBill() {
  if (!phone || busy) {
    at("bill-hint").textContent = busy ? "" : "Type this phone's number first";
    return;
  }
  busy = true;
  const answer = await fetch("/control/payments", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      shortcode: at("bill-number").value,
      account_reference: at("bill-account").value,
      amount: Number(at("bill-amount").value),
      phone,
    }),
  });
  busy = false;
  at("bill-hint").textContent = answer.ok ? "" : (await answer.json()).error;
  if (answer.ok) at("bill").closest("details").open = false;
  await look();
}

function press(key) {
  const pin = at("pin");
  pin.value = key === "⌫" ? pin.value.slice(0, -1) : (pin.value + key).slice(0, 4);
}

function addKeys() {
  for (const key of ["1", "2", "3", "4", "5", "6", "7", "8", "9", "", "0", "⌫"]) {
    const button = document.createElement(key ? "button" : "span");
    if (key) {
      button.type = "button";
      button.textContent = key;
      if (key === "⌫") button.setAttribute("aria-label", "Delete");
      button.addEventListener("click", () => press(key));
    }
    at("keys").append(button);
  }
}

at("line").addEventListener("submit", (event) => {
  event.preventDefault();
  usePhone(at("handset-phone").value);
});
at("handset-phone").addEventListener("change", () => usePhone(at("handset-phone").value));
at("prompt").addEventListener("submit", (event) => {
  event.preventDefault();
  if (/^[0-9]{4}$/.test(at("pin").value)) reply({ pin: at("pin").value });
});
at("bill").addEventListener("submit", (event) => {
  event.preventDefault();
  payBill();
});
at("cancel").addEventListener("click", () => reply({ cancel: true }));

// In another page's frame there is room for the phone alone.
if (window.self !== window.top) document.body.classList.add("framed");
addKeys();
drawMessages([]);
const preset = new URLSearchParams(location.search).get("phone") || remembered()[0];
if (remembered().length) remember(remembered()[0]);
if (preset) usePhone(preset);
poll();
