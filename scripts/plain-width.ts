/**
 * Columns that a text takes on a screen, in place of `string-width`: yargs lays out its help by it, and ours is ASCII. What
 * that package makes when it is loaded (`Intl.Segmenter` three times, a regular expression of all emoji) takes 20 ms and more.
 */
// biome-ignore lint/style/noDefaultExport: it is imported as that package is.
export default function plainWidth(text: string): number {
  return text.length;
}
