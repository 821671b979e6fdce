// oxlint-disable-next-line no-control-regex
const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Without control characters: foreign text must not forge lines or control the terminal. */
export const withoutControls = (text: string): string => text.replaceAll(controls, " ");
