import { element, say } from "./dom.js";

/// Figures with their names, kept up to date. facts: [name, value, when]: `value` makes the text
/// of what `update` is given, and where there is a `when` it says whether the figure is shown.
export class fact_list {
  constructor(facts, look = "", ...more) {
    this.facts = facts;
    this.values = facts.map(() => element("dd"));
    const entries = facts.map(([name], i) =>
      element("div", {}, element("dt", {}, name), this.values[i]),
    );
    this.node = element("dl", { class: `facts ${look}` }, ...entries, ...more);
  }

  update(said) {
    this.facts.forEach(([, value, when], i) => {
      this.values[i].parentNode.hidden = when !== undefined && !when(said);
      say(this.values[i], value(said));
    });
  }
}
