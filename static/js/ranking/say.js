/** Sentences: filled in, and said to a screen reader. */

/** `sentence` with each {name} in the place of which `values` has something. */
export const fill = (sentence, values) =>
  sentence.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

export const announce = (sentence) =>
  document.dispatchEvent(new CustomEvent("rankloop:announce", { detail: sentence }));

/** Say at the page's foot what went wrong: a kind that base.html has a sentence for. */
export const tellProblem = (kind) =>
  document.dispatchEvent(new CustomEvent("rankloop:problem", { detail: kind }));

export const clock = (moment) =>
  new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "short" }).format(moment);
