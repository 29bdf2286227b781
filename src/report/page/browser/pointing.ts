import { el } from './dom.ts';
import { edgeOf, MARGIN, type Mark, type Sheet } from './sheet.ts';
import { offset } from './words.ts';

/**
 * Shows what the pointer or the arrow keys are at: a line through the picture, the time, and words about the
 * thing itself, which are spoken too.
 */
export function pointing(
  frame: HTMLElement,
  drawing: SVGSVGElement,
  cursor: SVGLineElement,
  sheet: Sheet,
): void {
  const tip = el('div', { class: 'tip', 'aria-live': 'polite', hidden: true });
  frame.append(tip);
  const ordered = [...sheet.marks].sort((a, b) => a.at - b.at);
  let current = -1;
  let active: Element | null = null;

  function show(mark: Mark | null, time: number, x: number, clientY: number): void {
    active?.classList.remove('active');
    active = mark?.element ?? null;
    active?.classList.add('active');
    cursor.setAttribute('x1', String(x));
    cursor.setAttribute('x2', String(x));
    cursor.classList.add('shown');
    const words = mark?.words(time) ?? [];
    const when = offset(time - sheet.scale.start);
    tip.replaceChildren(
      ...words
        .filter((line) => line !== '')
        .map((line, index) => el(index === 0 ? 'strong' : 'span', {}, line)),
      el('span', { class: 'when' }, when),
    );
    tip.hidden = false;
    const box = frame.getBoundingClientRect();
    const left = drawing.getBoundingClientRect().left - box.left + x;
    const { offsetWidth: width, offsetHeight: height } = tip;
    const beside = left + 14 + width < box.width ? left + 14 : left - width - 14;
    tip.style.setProperty('left', `${Math.max(0, Math.min(beside, box.width - width))}px`);
    tip.style.setProperty('top', `${Math.max(0, clientY - box.top - height - 12)}px`);
  }

  function hide(): void {
    tip.hidden = true;
    cursor.classList.remove('shown');
    active?.classList.remove('active');
    active = null;
  }

  function point(event: PointerEvent): void {
    const x = event.clientX - drawing.getBoundingClientRect().left;
    if (x < 0 || x > edgeOf(sheet)) {
      hide();
      return;
    }
    const hit = event.target instanceof Element ? event.target.closest('[data-mark]') : null;
    const mark = hit === null ? null : (sheet.marks[Number(hit.getAttribute('data-mark'))] ?? null);
    show(mark, sheet.scale.time(x - MARGIN.left), x, event.clientY);
  }

  drawing.addEventListener('pointermove', point);
  drawing.addEventListener('pointerdown', point);
  // A finger that is lifted leaves, too: what it pointed at stays until it points elsewhere.
  drawing.addEventListener('pointerleave', ({ pointerType }) => {
    if (pointerType !== 'touch') hide();
  });
  frame.addEventListener('blur', hide);
  frame.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -ordered.length, End: ordered.length }[event.key];
    if (event.key === 'Escape') hide();
    if (step === undefined || ordered.length === 0) return;
    event.preventDefault();
    current = Math.min(ordered.length - 1, Math.max(0, current + step));
    const mark = ordered[current]!;
    const x = MARGIN.left + sheet.scale.x(mark.at);
    const box = mark.element.getBoundingClientRect();
    frame.firstElementChild?.scrollTo({ left: Math.max(0, x - 200) });
    show(mark, mark.at, x, box.top + box.height / 2);
  });
}
