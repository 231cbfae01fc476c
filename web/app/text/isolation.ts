/**
 * Keeps the characters of names, titles and file names from changing the order of the text around them.
 * `isolated` marks a name in a string; `Sentence` shows each marked name in an element of its own.
 */

const controls = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const marks = /[\u2068\u2069]/gu;

/** The text without the characters that reorder text: "invoice\u202egpj.exe" must not read as a picture. */
export function lineOf(text: string): string {
  return text.replace(controls, "");
}

/** The name between the marks of Unicode's bidirectional algorithm (first strong isolate), which tooltips follow as well. */
export function isolated(name: string): string {
  return `\u2068${lineOf(name)}\u2069`;
}

/** The sentence without marks, for accessible names. */
export function unmarked(sentence: string): string {
  return sentence.replace(marks, "");
}

/** The parts of a sentence: those at odd places are the marked names. */
export function partsOf(sentence: string): readonly string[] {
  return sentence.split(marks);
}
