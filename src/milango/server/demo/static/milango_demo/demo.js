"use strict";

const at = (id) => document.getElementById(id);
const told = JSON.parse(at("told").textContent);
const wide = window.matchMedia("(min-width: 960px)");
const simulator = `http://${location.hostname}:${told.simulatorPort}`;

const NEWS = ["payment.confirming", "payment.failed", "payment.succeeded"];
const POLL_MS = 2500;
const IGNORED = ["unreachable", "expired"];
const GIVE_UP_MS = 10 * 60 * 1000; // the status address is good for ten minutes

let language = localStorage.getItem("milango-demo-language") === "sw" ? "sw" : "en";
let order = null; // what is being paid, from the press of the button to the end
let refusal = null; // why the last press led to nothing
let pressed = null; // the last body that may have arrived, with its Idempotency-Key

// --- words -------------------------------------------------------------------------------

function say(name, values = {}) {
  return WORDS[language][name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

function clock(date) {
  const day = { timeZone: "Africa/Nairobi", day: "numeric", month: "short" };
  const time = { timeZone: "Africa/Nairobi", hour: "2-digit", minute: "2-digit" };
  const today = date.toLocaleString("en-GB", day) === new Date().toLocaleString("en-GB", day);
  return date.toLocaleString("en-GB", today ? time : { ...day, ...time });
}

function shillings(amount) {
  return Number(amount).toLocaleString("en-KE", { maximumFractionDigits: 2 });
}

// --- the form ----------------------------------------------------------------------------

function chosen() {
  const form = new FormData(at("form"));
  const merchant = told.merchants.find((each) => each.shortcode === form.get("merchant"));
  const amount = at("amount").value.replace(/[\s,]/g, "");
  return { merchant, service: form.get("service"), phone: at("phone").value.trim(), amount };
}

function wrongFields({ phone, amount }) {
  const wrong = {};
  if (!/^(\+?254|0)?[17]\d{8}$/.test(phone.replace(/[\s-]/g, ""))) wrong.phone = "invalid_phone";
  const whole = /^\d{1,6}$/.test(amount) && Number(amount) >= 1 && Number(amount) <= 250000;
  if (!whole) wrong.amount = "invalid_amount";
  return wrong;
}

function refuse(fields, whole = null) {
  refusal = { fields, whole };
  draw();
  const first = ["phone", "amount"].find((name) => fields[name]);
  if (first) at(first).focus();
}

function refusalText(code, detail = "") {
  return REFUSALS[language][code] || (code in WORDS.en ? say(code) : detail);
}

// --- sending -----------------------------------------------------------------------------

async function pay() {
  const wish = chosen();
  const wrong = wrongFields(wish);
  if (Object.keys(wrong).length) return refuse(wrong);
  refusal = null;
  order = { ...wish, phase: "sending", payment: null, online: true };
  showHandset(wish.phone);
  draw();
  await send(order);
}

async function send(mine) {
  const body = JSON.stringify({
    phone_number: mine.phone,
    amount: Number(mine.amount),
    shortcode: mine.merchant.shortcode,
    service_type: mine.service,
  });
  // The same request after a lost answer has the same key: it never prompts twice.
  if (pressed?.body !== body) pressed = { body, key: crypto.randomUUID() };
  let answer, document_;
  try {
    answer = await fetch("/api/v1/stk-push", {
      method: "POST",
      headers: {
        "Authorization": `Bearer ${mine.merchant.publishable_key}`,
        "Content-Type": "application/json",
        "Idempotency-Key": pressed.key,
      },
      body,
    });
    document_ = await answer.json();
  } catch {
    return backToForm(mine, {}, { code: "unreachable" });
  }
  pressed = null;
  if (answer.ok) return begin(mine, document_);
  const fields = {};
  for (const error of document_.errors || [document_]) {
    if (error.field === "phone_number") fields.phone = error.code;
    if (error.field === "amount") fields.amount = error.code;
  }
  const whole = Object.keys(fields).length ? null : document_;
  backToForm(mine, fields, whole);
}

function backToForm(mine, fields, whole) {
  if (order !== mine) return;
  order = null;
  refuse(fields, whole);
}

function begin(mine, payment) {
  const address = new URL(payment.status_url);
  mine.statusUrl = address.pathname + address.search;
  mine.id = payment.id;
  mine.phase = "waiting";
  mine.since = Date.now();
  take(mine, payment);
  follow(mine, new URL(payment.events_url));
  poll(mine);
}

// Events say at once that there is news; polling finds it a little later where they cannot come.
function follow(mine, address) {
  const events = new EventSource(address.pathname + address.search);
  for (const name of NEWS) {
    events.addEventListener(name, () => {
      if (mine.phase === "waiting" && order === mine) refresh(mine);
      else events.close();
    });
  }
  events.addEventListener("end", () => events.close());
  mine.events = events;
}

function take(mine, payment) {
  mine.payment = { ...mine.payment, ...payment };
  const settled = payment.status !== "Pending" && !payment.confirming;
  if (settled) {
    mine.phase = "settled";
    mine.events?.close();
  }
  if (order === mine) draw();
}

async function poll(mine) {
  while (order === mine && mine.phase === "waiting") {
    if (Date.now() - mine.since > GIVE_UP_MS) {
      mine.phase = "unknown";
      return draw();
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    await refresh(mine);
  }
}

async function refresh(mine) {
  try {
    const answer = await fetch(mine.statusUrl, { cache: "no-store" });
    mine.online = answer.ok;
    if (answer.ok) take(mine, await answer.json());
    else draw();
  } catch {
    mine.online = false;
    draw();
  }
}

// --- drawing -----------------------------------------------------------------------------

function show(element, visible) {
  element.hidden = !visible;
}

function draw() {
  document.documentElement.lang = language;
  for (const each of document.querySelectorAll("[data-t]")) each.textContent = say(each.dataset.t);
  for (const each of document.querySelectorAll("[data-t-label]")) {
    each.setAttribute("aria-label", say(each.dataset.tLabel));
  }
  for (const each of document.querySelectorAll("[data-lang]")) {
    each.setAttribute("aria-pressed", String(each.dataset.lang === language));
  }
  show(at("form"), !order);
  show(at("progress"), Boolean(order));
  if (order) drawProgress(order);
  else drawForm();
}

function drawForm() {
  const { service, amount } = chosen();
  const wifi = service === "captive_portal";
  const number = /^\d{1,9}$/.test(amount) ? shillings(amount) : "–";
  at("pay").textContent = say(wifi ? "wifiButton" : "payButton", { amount: number });
  for (const each of document.querySelectorAll(".minutes")) {
    show(each, wifi);
    each.textContent = say("min", { n: each.dataset.minutes });
  }
  for (const each of document.querySelectorAll(".chip")) {
    each.setAttribute("aria-pressed", String(each.dataset.amount === amount));
  }
  for (const name of ["phone", "amount"]) {
    const code = refusal?.fields[name];
    at(`${name}-error`).textContent = code ? refusalText(code) : "";
    at(name).setAttribute("aria-invalid", String(Boolean(code)));
  }
  const whole = refusal?.whole;
  at("form-error").textContent = whole ? refusalText(whole.code, whole.detail) : "";
}

function drawProgress(mine) {
  const { payment, phase } = mine;
  const paid = payment?.status === "Success";
  const confirming = Boolean(payment?.confirming);
  const over = phase === "settled";
  const what = mine.service === "captive_portal" ? "toWifi" : "toPay";
  at("order-what").textContent = say(what, { merchant: mine.merchant.name });
  at("order-amount").textContent = `KES ${shillings(mine.amount)}`;

  step("sent", phase === "sending" ? "now" : "done",
    phase === "sending" ? say("sending") : say("sent", { phone: mine.phone }));
  const pin = phase === "sending" ? "todo" : over || confirming ? "done" : "now";
  const ignored = over && IGNORED.includes(payment.reason);
  step("pin", ignored ? "failed" : pin, say(ignored ? "noAnswer" : pin === "done" ? "pinDone" : "pin"));
  at("pin-hint").textContent = pin === "now" ? say(wide.matches ? "pinHintBeside" : "pinHint") : "";
  show(at("handset-link"), pin === "now" && !wide.matches);
  if (over) step("end", paid ? "done" : "failed", say(paid ? "paid" : "notPaid"));
  else if (confirming) step("end", "now", say("confirming"));
  else step("end", "todo", say(phase === "unknown" ? "open_end" : "end"));

  drawResult(mine, paid);
  const patience = !over && (phase === "unknown" ? say("giveUp", { id: mine.id })
    : confirming ? payment.message[language] : mine.online ? "" : say("offline"));
  at("patience").textContent = patience || "";
  show(at("patience"), Boolean(patience));
  show(at("retry"), over && Boolean(payment.may_retry));
  show(at("again"), over || phase === "unknown");
}

function step(name, state, title) {
  at(`step-${name}`).dataset.state = state;
  at(`${name}-title`).textContent = title;
}

function drawResult(mine, paid) {
  const { payment } = mine;
  const over = mine.phase === "settled";
  show(at("result"), over);
  if (!over) return;
  at("result").dataset.paid = String(paid);
  at("verdict").textContent = payment.message?.[language] || payment.status;
  const facts = [];
  if (paid && payment.receipt_number) facts.push(["receipt", payment.receipt_number]);
  if (paid && payment.access_duration_minutes) {
    const n = payment.access_duration_minutes;
    const until = clock(new Date(Date.parse(payment.start_time) + n * 60000));
    facts.push(["wifiTime", say("minutes", { n })], ["until", until]);
  }
  if (paid && payment.transaction_date) {
    facts.push(["paidAt", clock(new Date(payment.transaction_date))]);
  }
  at("facts").replaceChildren(...facts.flatMap(([name, value]) => fact(name, value)));
}

function fact(name, value) {
  const title = document.createElement("dt");
  title.textContent = say(name);
  const text = document.createElement("dd");
  text.textContent = value;
  text.dataset.testid = name;
  return [title, text];
}

// --- the payer's phone -------------------------------------------------------------------

function showHandset(phone) {
  const address = `${simulator}/handset?phone=${encodeURIComponent(phone.replace(/[\s-]/g, ""))}`;
  at("handset-link").href = address;
  if (wide.matches && at("handset").getAttribute("src") !== address) at("handset").src = address;
}

// --- what people do ----------------------------------------------------------------------

function startOver() {
  order?.events?.close();
  order = null;
  refusal = null;
  draw();
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  pay();
});
at("form").addEventListener("input", () => {
  refusal = null;
  draw();
});
at("phone").addEventListener("change", () => {
  if (!wrongFields(chosen()).phone) showHandset(at("phone").value);
});
for (const chip of document.querySelectorAll(".chip")) {
  chip.addEventListener("click", () => {
    at("amount").value = chip.dataset.amount;
    refusal = null;
    draw();
  });
}
for (const button of document.querySelectorAll("[data-lang]")) {
  button.addEventListener("click", () => {
    language = button.dataset.lang;
    localStorage.setItem("milango-demo-language", language);
    draw();
  });
}
at("retry").addEventListener("click", pay);
at("again").addEventListener("click", startOver);
wide.addEventListener("change", () => {
  showHandset(order ? order.phone : at("phone").value);
  draw();
});

at("magic").href = `${simulator}/magic`;
showHandset(at("phone").value);
draw();
