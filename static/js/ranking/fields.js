/**
 * The ranking form's fields as a list of [name, value], and back. All that a person says of a slate
 * is in the form's fields; what is shown beside them is drawn from them.
 */

const LEFT_OUT = new Set(["csrfmiddlewaretoken", "lease", "seconds", "guidelines"]);

/** Whether a better version says anything: the field begins with what the model wrote. */
export const isEdited = (area) => "edited" in area.dataset || area.value !== area.defaultValue;

/** The fields that say something. */
export function read(form) {
  return [...new FormData(form)].filter(
    ([name, value]) =>
      value !== "" &&
      !LEFT_OUT.has(name) &&
      (!name.startsWith("edit-") || isEdited(form.elements[name])),
  );
}

/** Set every field to what `entries` say, and those that they don't name to nothing. */
export function write(form, entries) {
  const values = new Map();
  for (const [name, value] of entries) values.set(name, [...(values.get(name) ?? []), value]);
  for (const field of form.elements) {
    if (!field.name || LEFT_OUT.has(field.name) || field.type === "hidden") continue;
    const wanted = values.get(field.name) ?? [];
    if (field.type === "checkbox" || field.type === "radio") {
      field.checked = wanted.includes(field.value);
    } else if (field.name.startsWith("edit-")) {
      if (wanted.length > 0) {
        field.value = wanted[0];
        field.dataset.edited = "";
      } else if ("edited" in field.dataset) field.value = "";
    } else field.value = wanted[0] ?? "";
    const fold = field.closest("details");
    if (fold && wanted.length > 0) fold.open = true;
  }
}
