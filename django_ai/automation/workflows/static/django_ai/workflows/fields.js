// The input of each kind of field: the first that fits a field's schema makes it.
//
// Each returns the node to show, the control to focus and to mark, and how to read the value;
// undefined is a value that is left out.

import { element } from "./dom.js";

const INPUT_TYPES = { email: "email", uri: "url", date: "date", time: "time", "date-time": "datetime-local" };
const LONG_TEXT = 200;

export const FIELDS = [
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
  const attributes = { type: INPUT_TYPES[field.format] || "text", maxlength: field.max_length };
  return textual(field, element("input", { ...common(field), ...attributes, ...completion(field) }));
}

function completion(field) {
  return field.format === "email" ? { autocomplete: "email" } : {};
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
    element("div", { class: "workflow-run__check" }, box, element("label", { for: box.id }, field.choices[index].label)),
  );
  const read = () => field.choices.filter((_, index) => boxes[index].checked).map((choice) => choice.value);
  return { node: element("div", {}, ...rows), control: boxes[0] || element("input", {}), grouped: true, read };
}

/** A list: one entry a line. */
function lines(field) {
  const control = element("textarea", { ...common(field), rows: 3, placeholder: "One entry per line" });
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
