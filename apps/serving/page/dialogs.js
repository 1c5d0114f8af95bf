import { error_line, tell_daemon } from "./api.js";
import { element } from "./dom.js";
import { plural } from "./format.js";

/// Shows a dialog until it is closed; resolves to what it was closed with, "" for Escape.
function run(dialog) {
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue);
      dialog.remove();
    }),
  );
}

function buttons(...nodes) {
  return element("div", { class: "buttons" }, ...nodes);
}

// ---- cancel?

/// Asks whether to cancel a tree ("/") or a subtree. Resolves to true or false.
export async function confirm_cancel({ path, live, name }) {
  const what = path === "/" ? `the tree ${name}` : `thread ${path} and all below it`;
  const how_many = plural(live, "live thread");
  const answer = { value: "cancel", class: "danger solid", "data-action": "confirm" };
  const form = element(
    "form",
    { method: "dialog" },
    element("h2", { id: "confirm-title" }, `Cancel ${what}?`),
    element("p", {}, `${how_many} will stop for good. What has been written stays on record.`),
    buttons(
      element("button", { value: "", autofocus: true }, "Keep it"),
      element("button", answer, path === "/" ? "Cancel the tree" : "Cancel the subtree"),
    ),
  );
  const dialog = element("dialog", { "aria-labelledby": "confirm-title" }, form);
  return (await run(dialog)) === "cancel";
}

// ---- a new problem

const joins = {
  all: "all children have answered",
  first_success: "the first child has a solution",
  k_of_n: "so many children have a solution",
  deadline: "so many seconds have passed",
};

const words_of = (text) => text.split(/[\s,;]+/).filter(Boolean);

function label_of(word) {
  const split = word.indexOf("=");
  return [word.slice(0, split), word.slice(split + 1)];
}

function input(name, facts) {
  return element("input", { name, autocomplete: "off", ...facts });
}

function number(name, facts) {
  return input(name, { type: "number", min: 0, step: 1, ...facts });
}

function field(label, node, hint) {
  const words = hint ? element("span", { class: "soft" }, hint) : null;
  return element("label", { class: "field" }, element("span", {}, label), node, words);
}

class problem_form {
  constructor() {
    this.inputs = this.make_inputs();
    this.amount = field("How many", this.inputs.amount);
    this.trouble = element("div");
    this.solve = element("button", { class: "solid" }, "Solve");
    const form = element(
      "form",
      { submit: (event) => this.send(event) },
      element("h2", { id: "new-title" }, "New problem"),
      this.fields(),
      this.trouble,
      buttons(
        element("button", { type: "button", click: () => this.dialog.close("") }, "Close"),
        this.solve,
      ),
    );
    this.dialog = element("dialog", { "aria-labelledby": "new-title" }, form);
    this.show_amount();
  }

  make_inputs() {
    const policies = Object.entries(joins).map(([value, words]) =>
      element("option", { value }, words),
    );
    return {
      numbers: input("numbers", {
        required: true,
        autofocus: true,
        placeholder: "25 7 36",
        pattern: "\\s*\\d+([\\s,;]+\\d+)+\\s*",
        title: "Whole numbers with spaces between them",
      }),
      target: number("target", { required: true, placeholder: "54" }),
      join: element("select", { name: "join", input: () => this.show_amount() }, ...policies),
      amount: number("amount", { value: 2 }),
      temperature: number("temperature", { max: 100, step: "any", value: 0 }),
      seed: number("seed", { value: 0 }),
      children: number("children", { placeholder: "up to the model" }),
      labels: input("labels", {
        placeholder: "run=a",
        pattern: "\\s*([^\\s=,;]+=[^\\s,;]*[\\s,;]*)*",
        title: "name=value, with spaces between them",
      }),
    };
  }

  fields() {
    const { numbers, target, join, temperature, seed, children, labels } = this.inputs;
    const policy = field("A parent goes on when", join);
    return element(
      "div",
      { class: "fields" },
      field("Numbers", numbers),
      field("Target", target),
      element("div", { class: "field-row" }, policy, this.amount),
      field("Temperature", temperature, "0: always the likeliest token"),
      field("Seed", seed, "matters above temperature 0"),
      field("Children", children, "what the model is asked for"),
      field("Labels", labels, "name=value"),
    );
  }

  /// What is hidden must not be checked: nobody could mend it.
  show_amount() {
    const kind = this.inputs.join.value;
    const { amount } = this.inputs;
    this.amount.hidden = amount.disabled = kind !== "k_of_n" && kind !== "deadline";
    this.amount.firstChild.textContent = kind === "deadline" ? "Seconds" : "How many";
    Object.assign(amount, kind === "deadline" ? { min: 0, step: "any" } : { min: 1, step: 1 });
  }

  request() {
    const { numbers, target, join, amount, temperature, seed, children, labels } = this.inputs;
    return {
      task: "countdown",
      problem: { numbers: words_of(numbers.value).map(Number), target: Number(target.value) },
      sampling: { temperature: Number(temperature.value), seed: Number(seed.value) },
      join: this.amount.hidden ? join.value : `${join.value}:${Number(amount.value)}`,
      ...(children.value === "" ? {} : { children: Number(children.value) }),
      labels: Object.fromEntries(words_of(labels.value).map(label_of)),
      wait: false,
    };
  }

  async send(event) {
    event.preventDefault();
    this.solve.disabled = true; // nor does Enter submit a second tree then
    this.trouble.replaceChildren();
    try {
      const { id } = await tell_daemon("/v1/trees", this.request());
      this.dialog.close(id);
    } catch (error) {
      this.trouble.replaceChildren(error_line(error));
      this.show_fault(error.field ?? "");
    } finally {
      this.solve.disabled = false;
      if (!this.dialog.contains(document.activeElement)) this.solve.focus();
    }
  }

  /// `field`: "problem.numbers"
  show_fault(field) {
    const name = field.split(".").find((part) => part in this.inputs);
    this.inputs[name]?.focus();
  }
}

/// Asks for a problem and submits it. Resolves to the tree's id, or "".
export const new_problem = () => run(new problem_form().dialog);
