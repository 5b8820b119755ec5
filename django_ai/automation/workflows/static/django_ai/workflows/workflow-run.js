// <workflow-run run-id="12" endpoint="/statezero/"></workflow-run>: a run as a live page.
//
// It shows the screen that fits the run's state, posts the form that the run waits for, and follows
// the run until it has ended. This file is all of it: it imports nothing and needs no build step, so
// it works under any name that a static files storage gives it. A project may replace texts and
// the inputs of single fields:
//
//   import { registerComponent, texts } from ".../workflow-run.js";
//   registerComponent("Stars", (field) => { ...return an element that has a `value`... });
//   texts.submit = "Send";

const FINAL = new Set(["completed", "failed", "cancelled"]);
const LOOK_EVERY = { form: 3000, other: 1200 }; // milliseconds, where the server cannot hold a request
const LONGEST_PAUSE = 30000;

const TEXTS = {
  submit: "Submit",
  sending: "Sending…",
  working: "Working on it…",
  waiting: "Waiting",
  waitingFor: "Waiting for:",
  completed: "Done",
  failed: "This did not work out",
  failedHint: "The process has stopped because of an error. Nothing more is needed from you.",
  cancelled: "Cancelled",
  cancelledHint: "This process was given up.",
  progress: "Progress",
  optional: "(optional)",
  onePerLine: "One entry per line",
  checkFields: "Please correct the marked fields.",
  movedOn: "Meanwhile this step was completed elsewhere. Here is where the process is now.",
  missing: "There is nothing here for you to see.",
  offline: "The connection is lost. Trying again…",
};

// Under a hashed and under its plain name this file is two modules: the second one joins the first.
const first = customElements.get("workflow-run");

/** Texts that take the place of those above, and of those that the server has translated. */
export const texts = first ? first.texts : {};

const components = first ? first.components : new Map();

/** Let `factory(field)` make the input of all fields whose display_component is `name`.
 *
 * `field` has name, id, describedBy and the field's schema, filter_queryset included. The factory
 * returns an element with a `value` that JSON can carry; `id` is for the control to focus.
 */
export function registerComponent(name, factory) {
  components.set(name, factory);
}

// --- elements, made of texts alone and never of markup, so that nothing a user wrote becomes code ---

/** Return a new element; children that are null, false or "" are left out. */
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return made;
}

// --- the input of each kind of field: the first that fits a field's schema makes it ---
//
// Each returns the node to show, the control to focus and to mark, and how to read the value;
// undefined is a value that is left out.

const INPUT_TYPES = { email: "email", uri: "url", date: "date", time: "time", "date-time": "datetime-local" };
const LONG_TEXT = 200;

const FIELDS = [
  { fits: (field) => field.format === "file" || field.items?.format === "file", make: file },
  { fits: (field) => field.type === "array" && field.choices, make: checkboxes },
  { fits: (field) => field.choices, make: select },
  { fits: (field) => field.type === "array", make: lines },
  { fits: (field) => field.type === "boolean", make: checkbox },
  { fits: (field) => field.type === "object", make: json },
  { fits: (field) => field.type === "integer" || field.type === "number", make: number },
  { fits: (field) => !field.format && (field.multiline || field.max_length > LONG_TEXT), make: textarea },
  { fits: () => true, make: input },
];

function common(field) {
  return {
    id: field.id,
    name: field.name,
    "aria-describedby": field.describedBy,
    "aria-required": field.required ? "true" : null,
  };
}

/** What an empty text means: the server says "required" of what is left out, and "blank" of "". */
function nothing(field) {
  if (field.nullable) return null;
  return field.allow_blank ? "" : undefined;
}

function textual(field, control, convert = (text) => text) {
  if (field.default !== null) control.value = field.default;
  return { node: control, control, read: () => (control.value === "" ? nothing(field) : convert(control.value)) };
}

function input(field) {
  const type = INPUT_TYPES[field.format] || "text";
  const autocomplete = type === "email" ? "email" : null;
  return textual(field, element("input", { ...common(field), type, autocomplete, maxlength: field.max_length }));
}

function textarea(field) {
  return textual(field, element("textarea", { ...common(field), rows: 4, maxlength: field.max_length }));
}

function number(field) {
  const step = field.type === "integer" ? 1 : field.decimal_places ? 10 ** -field.decimal_places : "any";
  const limits = { min: field.min_value, max: field.max_value, step };
  const exact = field.format === "decimal"; // as a text, for a binary number would not be exact
  const control = element("input", { ...common(field), type: "number", ...limits });
  return textual(field, control, (text) => (exact ? text : Number(text)));
}

function checkbox(field) {
  const control = element("input", { ...common(field), type: "checkbox" });
  control.checked = field.default === true;
  return { node: control, control, labelAfter: true, read: () => control.checked };
}

function select(field) {
  const control = element("select", common(field));
  const isChosen = field.choices.some((choice) => choice.value === field.default);
  if (!isChosen || !field.required) control.append(element("option", { value: "" }, "–"));
  field.choices.forEach((choice, index) => control.append(element("option", { value: index }, choice.label)));
  if (isChosen) control.value = field.choices.findIndex((choice) => choice.value === field.default);
  const read = () => (control.value === "" ? nothing(field) : field.choices[control.value].value);
  return { node: control, control, read };
}

function checkboxes(field) {
  const chosen = field.default || [];
  const boxes = field.choices.map((choice, index) => {
    const id = index ? `${field.id}-${index}` : field.id;
    const box = element("input", { type: "checkbox", id, name: field.name });
    box.checked = chosen.includes(choice.value);
    return box;
  });
  const rows = boxes.map((box, index) =>
    element("label", { class: "workflow-run__choice", for: box.id }, box, field.choices[index].label),
  );
  const read = () => field.choices.filter((_, index) => boxes[index].checked).map((choice) => choice.value);
  const node = element("div", { class: "workflow-run__choices" }, ...rows);
  return { node, control: boxes[0] || element("input", {}), grouped: true, read };
}

/** A list: one entry a line. */
function lines(field) {
  const control = element("textarea", { ...common(field), rows: 3, placeholder: field.texts("onePerLine") });
  control.value = (field.default || []).join("\n");
  const numeric = ["integer", "number"].includes(field.items?.type) && field.items.format !== "decimal";
  const entry = (line) => (numeric && line !== "" && !Number.isNaN(Number(line)) ? Number(line) : line);
  const read = () => {
    const entries = control.value.split("\n").map((line) => line.trim()).filter(Boolean).map(entry);
    return entries.length || field.required ? entries : nothing(field);
  };
  return { node: control, control, read };
}

function json(field) {
  const control = element("textarea", { ...common(field), rows: 4, spellcheck: "false" });
  if (field.default !== null) control.value = JSON.stringify(field.default, null, 2);
  const read = () => {
    if (!control.value.trim()) return nothing(field);
    try {
      return JSON.parse(control.value);
    } catch {
      return control.value; // which the server refuses at this field
    }
  };
  return { node: control, control, read };
}

function file(field) {
  const multiple = field.type === "array";
  const control = element("input", { ...common(field), type: "file", multiple, accept: field.accept });
  const read = () => (control.files.length ? (multiple ? [...control.files] : control.files[0]) : undefined);
  return { node: control, control, read };
}

/** The input that a project's own component makes. */
function own(node, field) {
  const control = node.id === field.id ? node : node.querySelector(`#${CSS.escape(field.id)}`) || node;
  return { node, control, read: () => node.value, grouped: control === node && node.id !== field.id };
}

/** Values as the body of a request: JSON, unless there are files, which only multipart data can carry. */
function body(values) {
  const isFile = (value) => value instanceof File || (Array.isArray(value) && value.some(isFile));
  if (!Object.values(values).some(isFile)) {
    return { headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) };
  }
  const data = new FormData();
  const add = (name, value) => {
    if (value instanceof File) data.append(name, value);
    else if (Array.isArray(value)) value.forEach((item) => add(name, item));
    else if (value && typeof value === "object") data.append(name, JSON.stringify(value));
    else data.append(name, value ?? "");
  };
  Object.entries(values).forEach(([name, value]) => add(name, value));
  return { headers: {}, body: data };
}

/** The words in an error's detail, however deep: texts, {message, code}, lists and objects of them. */
function words(detail) {
  if (!detail) return "";
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map(words).join(" ");
  if (typeof detail.message === "string") return detail.message;
  return Object.values(detail).map(words).filter(Boolean).join(" ");
}

class WorkflowRun extends HTMLElement {
  static registerComponent = registerComponent;
  static texts = texts;
  static components = components;
  static observedAttributes = ["run-id", "endpoint"];

  connectedCallback() {
    this.screen = element("div", { class: "workflow-run__screen" });
    this.notice = element("p", { class: "workflow-run__notice", role: "alert", hidden: true });
    this.live = element("p", { class: "workflow-run__live", role: "status" });
    this.replaceChildren(this.notice, this.screen, this.live);
    this.display = this.etag = this.form = null;
    this.looking = this.sending = this.answered = false;
    this.pause = this.posts = 0;
    this.aborter = new AbortController();
    const options = { signal: this.aborter.signal };
    document.addEventListener("visibilitychange", () => document.hidden || this.look(), options);
    this.look();
  }

  disconnectedCallback() {
    this.aborter.abort();
    clearTimeout(this.timer);
  }

  /** Begin anew with another run, as front ends do that change the attributes of an element in place. */
  attributeChangedCallback() {
    if (!this.aborter || !this.isConnected) return;
    this.disconnectedCallback();
    this.connectedCallback();
  }

  get endpoint() {
    return (this.getAttribute("endpoint") || "").replace(/\/*$/, "/");
  }

  get runUrl() {
    return `${this.endpoint}runs/${this.getAttribute("run-id")}/`;
  }

  text(key) {
    this.translated ??= JSON.parse(this.getAttribute("texts") || "{}");
    return texts[key] ?? this.translated[key] ?? TEXTS[key];
  }

  // --- following the run ---

  async look() {
    clearTimeout(this.timer);
    if (this.looking || document.hidden || FINAL.has(this.display?.status)) return;
    const { signal } = this.aborter;
    this.looking = true;
    let wait;
    try {
      wait = await this.ask();
      this.pause = 0;
    } catch {
      if (signal.aborted) return;
      this.say(this.text("offline"));
      wait = this.pause = Math.min(LONGEST_PAUSE, this.pause * 2 || 1000);
    }
    if (signal.aborted) return;
    this.looking = false;
    if (wait !== null) this.timer = setTimeout(() => this.look(), wait);
  }

  /** Ask for the run once; return in how many milliseconds to ask again, or null for never. */
  async ask() {
    const headers = this.etag ? { "If-None-Match": this.etag, Prefer: "wait=25" } : {};
    const asked = this.posts;
    const response = await this.fetch(this.runUrl, { headers });
    if (response.status >= 500) throw new Error(response.statusText);
    if (this.offline) this.say("");
    if (response.ok && asked === this.posts) {
      const display = await response.json();
      await this.show(display);
      this.etag = response.headers.get("ETag");
    } else if (response.status >= 400) {
      this.showText("failed", this.text("missing"));
      return null;
    }
    if (response.headers.has("Preference-Applied")) return 0;
    return this.form ? LOOK_EVERY.form : LOOK_EVERY.other;
  }

  fetch(url, options = {}) {
    const headers = { Accept: "application/json", ...options.headers };
    const signal = this.aborter.signal;
    return fetch(url, { credentials: "same-origin", cache: "no-store", ...options, headers, signal });
  }

  // --- the screens ---

  async show(display) {
    const before = this.display;
    const hadFocus = this.screen.contains(document.activeElement);
    const isForm = !FINAL.has(display.status) && display.step_type === "action" && display.status !== "suspended";
    const schema = isForm ? await this.schema() : null;
    this.say(this.form && !this.answered ? this.text("movedOn") : "");
    this.display = display;
    this.answered = false;
    this.form = null;
    if (schema) this.showForm(display, schema);
    else if (isForm) this.showText("working", this.text("working"));
    else this.showScreen(display);
    if (before) this.announce(hadFocus);
    this.dispatchEvent(new CustomEvent("workflow-run:change", { bubbles: true, detail: display }));
  }

  showScreen(display) {
    const { display_title: title, display_subtitle: subtitle } = display.completion_display;
    if (display.status === "completed") this.showText("completed", title || this.text("completed"), subtitle);
    else if (display.status === "suspended") this.showWaiting(display.waiting_display);
    else if (display.status === "failed") this.showText("failed", this.text("failed"), this.text("failedHint"));
    else if (display.status === "cancelled")
      this.showText("cancelled", this.text("cancelled"), this.text("cancelledHint"));
    else this.showText("working", this.text("working"));
  }

  showWaiting(display) {
    const waitsFor = display.display_waiting_for;
    const detail = waitsFor && element("p", { class: "workflow-run__detail" }, `${this.text("waitingFor")} ${waitsFor}`);
    this.showText("waiting", display.display_title || this.text("waiting"), display.display_subtitle, detail);
  }

  showText(kind, title, subtitle, ...more) {
    const busy = kind === "working" || kind === "waiting";
    this.paint(
      kind,
      element("div", { class: "workflow-run__sign", "aria-hidden": "true" }),
      this.heading(title),
      subtitle && element("p", { class: "workflow-run__subtitle" }, subtitle),
      ...more,
      busy && this.progress(),
    );
  }

  paint(kind, ...children) {
    this.screen.className = `workflow-run__screen workflow-run__screen--${kind}`;
    this.screen.replaceChildren(...children.filter(Boolean));
  }

  heading(title) {
    const level = Number(this.getAttribute("heading-level")) || 2;
    return element(`h${level}`, { class: "workflow-run__title", tabindex: "-1" }, title);
  }

  progress() {
    const value = this.display?.progress;
    if (!value) return null;
    const percent = `${Math.round(value * 100)} %`;
    const bar = element("progress", { max: 1, value, "aria-label": this.text("progress") }, percent);
    return element("div", { class: "workflow-run__progress" }, bar, element("span", {}, percent));
  }

  say(text) {
    this.offline = text === this.text("offline");
    this.notice.textContent = text;
    this.notice.hidden = !text;
  }

  /** Tell those who do not see it that the screen has changed; who was in the old one is put into the new. */
  announce(hadFocus) {
    const heading = this.screen.querySelector(".workflow-run__title");
    this.live.textContent = heading.textContent;
    if (hadFocus) heading.focus();
  }

  // --- the form ---

  /** Return the form that the run waits for, or null where it has moved on since. */
  async schema() {
    const response = await this.fetch(`${this.runUrl}form/`);
    if (response.status >= 500) throw new Error(response.statusText);
    return response.ok ? response.json() : null;
  }

  showForm(display, schema) {
    this.action = schema.action_name;
    this.fields = new Map();
    for (const [name, field] of Object.entries(schema.fields)) this.fields.set(name, this.field(name, field));
    const shown = { ...schema.display, ...display.step_display };
    this.button = element("button", { type: "submit", class: "workflow-run__submit" }, this.text("submit"));
    this.form = element("form", { novalidate: true }, ...this.groups(shown.field_groups || []), this.button);
    this.form.addEventListener("submit", (event) => (event.preventDefault(), this.submit()));
    this.paint(
      "form",
      this.progress(),
      this.heading(shown.display_title || schema.title),
      shown.display_description && element("p", { class: "workflow-run__subtitle" }, shown.display_description),
      this.form,
    );
  }

  field(name, schema) {
    const id = `workflow-run-${this.getAttribute("run-id")}-${name}`;
    const help = schema.help_text && element("p", { class: "workflow-run__help", id: `${id}-help` }, schema.help_text);
    const error = element("p", { class: "workflow-run__error", id: `${id}-error`, hidden: true });
    const describedBy = [help && help.id, error.id].filter(Boolean).join(" ");
    const described = { ...schema, name, id, describedBy, texts: (key) => this.text(key) };
    const custom = components.get(schema.component);
    const input = custom ? own(custom(described), described) : FIELDS.find((kind) => kind.fits(schema)).make(described);
    const optional = !schema.required && schema.type !== "boolean";
    const label = [
      schema.label,
      optional && element("span", { class: "workflow-run__optional" }, ` ${this.text("optional")}`),
    ];
    const parts = input.grouped
      ? [element("fieldset", { "aria-describedby": describedBy }, element("legend", {}, ...label), help, input.node, error)]
      : input.labelAfter
        ? [element("label", { class: "workflow-run__choice", for: id }, input.node, ...label), help, error]
        : [element("label", { for: id }, ...label), help, input.node, error];
    return { ...input, error, node: element("div", { class: "workflow-run__field" }, ...parts) };
  }

  groups(groups) {
    const left = new Set(this.fields.keys());
    const take = (name) => left.delete(name) && this.fields.get(name).node;
    const grouped = groups.map((group) =>
      element(
        "fieldset",
        { class: "workflow-run__group" },
        element("legend", {}, group.display_title),
        group.display_description && element("p", { class: "workflow-run__help" }, group.display_description),
        ...group.field_names.map(take),
      ),
    );
    return [...grouped, ...[...left].map(take)];
  }

  async submit() {
    if (this.sending) return;
    this.busy(true);
    const values = { workflow_run_id: Number(this.getAttribute("run-id")) };
    for (const [name, field] of this.fields) {
      const value = field.read();
      if (value !== undefined) values[name] = value;
    }
    const { signal } = this.aborter;
    try {
      await this.settle(await this.post(values));
    } catch {
      if (!signal.aborted) this.say(this.text("offline"));
    } finally {
      if (!signal.aborted) this.busy(false);
    }
  }

  post(values) {
    const cookie = document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/);
    const token = { "X-CSRFToken": this.getAttribute("csrf-token") || (cookie ? cookie[1] : "") };
    const sent = body(values);
    const headers = { ...sent.headers, ...token };
    return this.fetch(`${this.endpoint}actions/${this.action}/`, { method: "POST", ...sent, headers });
  }

  busy(sending) {
    this.sending = sending;
    this.button.textContent = this.text(sending ? "sending" : "submit");
    this.button.setAttribute("aria-disabled", String(sending));
  }

  async settle(response) {
    const answer = await response.json();
    const refused = response.status === 409;
    if (!response.ok && !refused) {
      return this.showErrors(answer.type === "ValidationError" ? answer.detail : { non_field_errors: answer.detail });
    }
    this.posts += 1; // what is on its way about the run as it was is out of date
    this.answered = response.ok;
    const run = await this.fetch(this.runUrl);
    if (!run.ok) return this.showText("failed", this.text("missing"));
    const display = await run.json();
    const isStillHere = display.step_type === "action" && display.current_step === this.display.current_step;
    if (refused && isStillHere) return this.say(words(answer.detail));
    await this.show(display);
    this.etag = run.headers.get("ETag");
    this.look();
  }

  showErrors(detail) {
    const errors = detail && typeof detail === "object" && !Array.isArray(detail) ? detail : { non_field_errors: detail };
    let first = null;
    for (const [name, field] of this.fields) {
      const message = words(errors[name]);
      field.error.textContent = message;
      field.error.hidden = !message;
      field.control.removeAttribute("aria-invalid");
      if (message) field.control.setAttribute("aria-invalid", "true");
      if (message && !first) first = field.control;
    }
    const general = Object.entries(errors).filter(([name]) => !this.fields.has(name));
    this.say(general.map(([, value]) => words(value)).join(" ") || this.text("checkFields"));
    if (first) first.focus();
  }
}

if (!first) customElements.define("workflow-run", WorkflowRun);
