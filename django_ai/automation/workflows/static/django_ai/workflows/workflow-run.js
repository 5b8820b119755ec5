// <workflow-run run-id="12" endpoint="/statezero/"></workflow-run>: a run as a live page.
//
// It shows the screen that fits the run's state, posts the form that the run waits for, and follows
// the run until it has ended. Its texts and its components for single fields can be replaced:
//
//   import { registerComponent, texts } from ".../workflow-run.js";
//   registerComponent("Stars", (field) => { ...return an element that has a `value`... });
//   texts.submit = "Send";

import { FIELDS } from "./fields.js";
import { element } from "./dom.js";

const FINAL = new Set(["completed", "failed", "cancelled"]);
const LOOK_EVERY = { form: 3000, other: 1200 }; // milliseconds, where the server cannot hold a request
const LONGEST_PAUSE = 30000;

export const texts = {
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
  checkFields: "Please correct the marked fields.",
  movedOn: "Meanwhile this step was completed elsewhere. Here is where the process is now.",
  missing: "There is nothing here for you to see.",
  offline: "The connection is lost. Trying again…",
};

const components = new Map();

/** Let `factory(field)` make the input of all fields whose display_component is `name`.
 *
 * `field` has name, id, describedBy and the field's schema, filter_queryset included. The factory
 * returns an element with a `value` that JSON can carry; `id` is for the control to focus.
 */
export function registerComponent(name, factory) {
  components.set(name, factory);
}

class WorkflowRun extends HTMLElement {
  static registerComponent = registerComponent;
  static texts = texts;

  connectedCallback() {
    this.screen = element("div", { class: "workflow-run__screen" });
    this.notice = element("p", { class: "workflow-run__notice", role: "alert", hidden: true });
    this.live = element("p", { class: "workflow-run__live", role: "status" });
    this.replaceChildren(this.notice, this.screen, this.live);
    this.pause = 0;
    this.aborter = new AbortController();
    const options = { signal: this.aborter.signal };
    document.addEventListener("visibilitychange", () => document.hidden || this.look(), options);
    this.look();
  }

  disconnectedCallback() {
    this.aborter.abort();
    clearTimeout(this.timer);
  }

  get runUrl() {
    return `${this.getAttribute("endpoint")}runs/${this.getAttribute("run-id")}/`;
  }

  // --- following the run ---

  async look() {
    clearTimeout(this.timer);
    if (this.looking || document.hidden || FINAL.has(this.display?.status)) return;
    this.looking = true;
    let wait;
    try {
      wait = await this.ask();
      this.pause = 0;
    } catch (error) {
      if (this.aborter.signal.aborted) return;
      this.say(texts.offline);
      wait = this.pause = Math.min(LONGEST_PAUSE, this.pause * 2 || 1000);
    } finally {
      this.looking = false;
    }
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
      this.etag = response.headers.get("ETag");
      await this.show(await response.json());
    } else if (response.status >= 400) {
      this.showText("failed", texts.missing);
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
    this.say(this.form && !this.answered ? texts.movedOn : "");
    this.display = display;
    this.answered = false;
    this.form = null;
    if (isForm) await this.showForm(display);
    else if (display.status === "completed") this.showResult("completed", display.completion_display, texts.completed);
    else if (display.status === "suspended") this.showWaiting(display.waiting_display);
    else if (display.status === "failed") this.showText("failed", texts.failed, texts.failedHint);
    else if (display.status === "cancelled") this.showText("failed", texts.cancelled, texts.cancelledHint);
    else this.showText("working", texts.working);
    if (before) this.announce(hadFocus);
    this.dispatchEvent(new CustomEvent("workflow-run:change", { bubbles: true, detail: display }));
  }

  showResult(kind, display, title) {
    this.showText(kind, display.display_title || title, display.display_subtitle);
  }

  showWaiting(display) {
    const waitsFor = display.display_waiting_for;
    const detail = waitsFor && element("p", { class: "workflow-run__detail" }, `${texts.waitingFor} ${waitsFor}`);
    this.showText("waiting", display.display_title || texts.waiting, display.display_subtitle, detail);
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
    const bar = element("progress", { max: 1, value, "aria-label": texts.progress }, percent);
    return element("div", { class: "workflow-run__progress" }, bar, element("span", {}, percent));
  }

  say(text) {
    this.offline = text === texts.offline;
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

  async showForm(display) {
    const response = await this.fetch(`${this.runUrl}form/`);
    if (response.status === 409) return this.showText("working", texts.working);
    if (!response.ok) return this.showText("failed", texts.missing);
    const schema = await response.json();
    this.action = schema.action_name;
    this.fields = new Map();
    for (const [name, field] of Object.entries(schema.fields)) this.fields.set(name, this.field(name, field));
    const shown = { ...schema.display, ...display.step_display };
    this.button = element("button", { type: "submit", class: "workflow-run__submit" }, texts.submit);
    this.form = element("form", { novalidate: true }, ...this.groups(shown.field_groups || []), this.button);
    this.form.addEventListener("submit", (event) => (event.preventDefault(), this.submit()));
    this.paint(
      "form",
      this.heading(shown.display_title || schema.title),
      shown.display_description && element("p", { class: "workflow-run__subtitle" }, shown.display_description),
      this.progress(),
      this.form,
    );
  }

  field(name, schema) {
    const id = `workflow-run-${this.getAttribute("run-id")}-${name}`;
    const help = schema.help_text && element("p", { class: "workflow-run__help", id: `${id}-help` }, schema.help_text);
    const error = element("p", { class: "workflow-run__error", id: `${id}-error`, hidden: true });
    const describedBy = [help && help.id, error.id].filter(Boolean).join(" ");
    const described = { ...schema, name, id, describedBy };
    const custom = components.get(schema.component);
    const input = custom ? own(custom(described), described) : FIELDS.find((kind) => kind.fits(schema)).make(described);
    const required = schema.required || schema.type === "boolean";
    const label = [schema.label, !required && element("span", { class: "workflow-run__optional" }, ` ${texts.optional}`)];
    const parts = input.grouped
      ? [element("fieldset", { "aria-describedby": describedBy }, element("legend", {}, ...label), help, input.node, error)]
      : input.labelAfter
        ? [element("div", { class: "workflow-run__check" }, input.node, element("label", { for: id }, ...label)), help, error]
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
    try {
      await this.settle(await this.post(values));
    } catch {
      if (!this.aborter.signal.aborted) this.say(texts.offline);
    } finally {
      this.busy(false);
    }
  }

  post(values) {
    const cookie = document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/);
    const headers = {
      "Content-Type": "application/json",
      "X-CSRFToken": this.getAttribute("csrf-token") || (cookie ? cookie[1] : ""),
    };
    const url = `${this.getAttribute("endpoint")}actions/${this.action}/`;
    return this.fetch(url, { method: "POST", headers, body: JSON.stringify(values) });
  }

  busy(sending) {
    this.sending = sending;
    this.button.textContent = sending ? texts.sending : texts.submit;
    this.button.setAttribute("aria-disabled", String(sending));
  }

  async settle(response) {
    const body = await response.json();
    const refused = response.status === 409;
    if (!response.ok && !refused) {
      return this.showErrors(response.status === 400 ? body.detail : { non_field_errors: body.detail });
    }
    this.posts = (this.posts || 0) + 1; // what is on its way about the run as it was is out of date
    this.answered = response.ok;
    const run = await this.fetch(this.runUrl);
    if (!run.ok) return this.showText("failed", texts.missing);
    const display = await run.json();
    this.etag = run.headers.get("ETag");
    const isStillHere = display.step_type === "action" && display.current_step === this.display.current_step;
    if (refused && isStillHere) return this.say(words(body.detail));
    await this.show(display);
    this.look();
  }

  showErrors(detail) {
    const errors = detail && typeof detail === "object" && !Array.isArray(detail) ? detail : { non_field_errors: detail };
    let first = null;
    for (const [name, field] of this.fields) {
      const message = words(errors[name]);
      field.error.textContent = message;
      field.error.hidden = !message;
      field.control.toggleAttribute("aria-invalid", false);
      if (message) field.control.setAttribute("aria-invalid", "true");
      if (message && !first) first = field.control;
    }
    const general = Object.entries(errors).filter(([name]) => !this.fields.has(name));
    this.say(general.map(([, value]) => words(value)).join(" ") || texts.checkFields);
    if (first) first.focus();
  }
}

function own(node, field) {
  const control = node.id === field.id ? node : node.querySelector(`#${CSS.escape(field.id)}`) || node;
  return { node, control, read: () => node.value, grouped: control === node && node.id !== field.id };
}

/** The words in an error's detail, however deep: texts, {message, code}, lists and objects of them. */
function words(detail) {
  if (!detail) return "";
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map(words).join(" ");
  if (typeof detail.message === "string") return detail.message;
  return Object.values(detail).map(words).filter(Boolean).join(" ");
}

if (!customElements.get("workflow-run")) customElements.define("workflow-run", WorkflowRun);
