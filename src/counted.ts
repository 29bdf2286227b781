/** `1,234,567`. */
export function countText(count: number): string {
  const [whole, ...rest] = String(count).split('.');
  return [whole!.replace(/\B(?=(?:[0-9]{3})+$)/g, ','), ...rest].join('.');
}

/** `1 packet`, `1,250 packets`, `2 addresses`. */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${countText(count)} ${count === 1 ? noun : nouns}`;
}
