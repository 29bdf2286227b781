type Attributes = Readonly<Record<string, string | number | boolean | null>>;
export type Child = Node | string;

const SVG = 'http://www.w3.org/2000/svg';

/** An element of HTML. A text becomes a text node, whatever is in it; `false` and null leave an attribute out. */
export function el<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly (Child | null)[]
): HTMLElementTagNameMap[Name] {
  return filled(document.createElement(name), attributes, children);
}

/** The same of SVG. */
export function svg<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly (Child | null)[]
): SVGElementTagNameMap[Name] {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled<E extends Element>(
  element: E,
  attributes: Attributes,
  children: readonly (Child | null)[],
): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Makes these the children of `holder`, unless it shows the same already: then what has the focus keeps it. */
export function fill(holder: Element, children: readonly Element[]): void {
  const there = [...holder.children];
  const isSame =
    there.length === children.length && there.every((child, index) => child.isEqualNode(children[index]!));
  if (!isSame) holder.replaceChildren(...children);
}

const fonts = {
  body: '12px system-ui, sans-serif',
  strong: '600 12px system-ui, sans-serif',
  small: '11px system-ui, sans-serif',
  mono: '11.5px ui-monospace, monospace',
} as const;
export type Font = keyof typeof fonts;

let meter: CanvasRenderingContext2D | null = null;

/** Pixels that a text takes, about. */
export function textWidth(text: string, font: Font): number {
  meter ??= document.createElement('canvas').getContext('2d');
  if (meter === null) return text.length * 7;
  meter.font = fonts[font];
  return meter.measureText(text).width;
}

/** `text`, cut so that it takes at most `width` pixels. */
export function fitted(text: string, width: number, font: Font): string {
  if (textWidth(text, font) <= width) return text;
  let shorter = text;
  while (shorter.length > 1 && textWidth(`${shorter}…`, font) > width) shorter = shorter.slice(0, -1);
  return `${shorter}…`;
}
