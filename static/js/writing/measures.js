/**
 * How long a text is and in which script it is written, while it is typed. Counts as
 * labeling/scripts.py does.
 */

const SCRIPTS = {
  Latin: /\p{Script=Latin}/gu,
  Han: /\p{Script=Han}/gu,
  Kana: /[\p{Script=Hiragana}\p{Script=Katakana}]/gu,
  Hangul: /\p{Script=Hangul}/gu,
  Cyrillic: /\p{Script=Cyrillic}/gu,
  Arabic: /\p{Script=Arabic}/gu,
  Hebrew: /\p{Script=Hebrew}/gu,
  Greek: /\p{Script=Greek}/gu,
  Devanagari: /\p{Script=Devanagari}/gu,
  Bengali: /\p{Script=Bengali}/gu,
  Tamil: /\p{Script=Tamil}/gu,
  Telugu: /\p{Script=Telugu}/gu,
  Thai: /\p{Script=Thai}/gu,
  Georgian: /\p{Script=Georgian}/gu,
  Armenian: /\p{Script=Armenian}/gu,
  Ethiopic: /\p{Script=Ethiopic}/gu,
};
const LOOKED_AT = 4_000;
const KANA_SHARE = 0.1;

const count = (text, pattern) => text.match(pattern)?.length ?? 0;

/** The script of most of the letters; empty where there are none. */
export function scriptOf(text) {
  const start = text.slice(0, LOOKED_AT);
  const counts = Object.entries(SCRIPTS).map(([name, pattern]) => [name, count(start, pattern)]);
  const of = Object.fromEntries(counts);
  if (of.Kana > 0 && of.Kana >= KANA_SHARE * (of.Kana + of.Han)) of.Kana += of.Han;
  const [name, most] = Object.entries(of).reduce(
    (best, one) => (one[1] > best[1] || (one[1] === best[1] && one[0] === "Kana") ? one : best),
    ["", 0],
  );
  return most > 0 ? name : "";
}

export function measure(text) {
  const characters = [...text].length;
  const ascii = count(text, /\p{ASCII}/gu);
  const dense = count(text, /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/gu);
  return {
    characters,
    words: count(text, /[\p{L}\p{N}_]+/gu),
    tokens: Math.ceil((ascii + 2 * (characters - ascii - dense) + 4 * dense) / 4),
    script: scriptOf(text),
  };
}
