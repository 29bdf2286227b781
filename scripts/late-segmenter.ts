const { Segmenter } = Intl;

/**
 * `Intl.Segmenter`, made when it is first used: the first of a process takes 7 to 20 ms, and yargs makes three when it is
 * loaded, for help that few commands print.
 */
export class LateSegmenter {
  #made: Intl.Segmenter | null = null;

  segment(text: string): Intl.Segments {
    this.#made ??= new Segmenter();
    return this.#made.segment(text);
  }
}
