/** Sentences: filled in, and said to a screen reader. */

/** `sentence` with each {name} in the place of which `values` has something. */
export const fill = (sentence, values) =>
  sentence.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

export const announce = (sentence) =>
  document.dispatchEvent(new CustomEvent("rankloop:announce", { detail: sentence }));

export const clock = (moment) =>
  new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "short" }).format(moment);
