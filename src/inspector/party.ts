const LONGEST = 1024;

/**
 * Who a From or To header names, as people call them: the user of its URI, the number of a `tel:` URI, else its host; the
 * header itself where it has no URI. Not made safe to print.
 */
export function partyName(header: string): string {
  const text = header.slice(0, LONGEST);
  const open = text.lastIndexOf('<');
  const close = text.indexOf('>', open);
  const uri = open === -1 ? text : text.slice(open + 1, close === -1 ? undefined : close);
  const colon = uri.indexOf(':');
  if (colon === -1) return text;
  const rest = uri.slice(colon + 1);
  const at = rest.indexOf('@');
  return ended(at === -1 ? rest : rest.slice(0, at), at === -1 ? ';?>' : ':;');
}

/** Up to the first of these characters. */
function ended(text: string, ends: string): string {
  for (let at = 0; at < text.length; at++) if (ends.includes(text[at]!)) return text.slice(0, at);
  return text;
}
