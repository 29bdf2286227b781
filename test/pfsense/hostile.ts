/** Text that means something to pf, sh, YAML, PHP, HTML or a terminal, as somebody could write it into a field. */
export const hostile: readonly string[] = [
  '5060\npass quick all',
  '5060 } pass quick all {',
  '"; pass quick all #',
  'igb1" } anchor "x" {',
  "x'; touch /tmp/pinholed-hostile; '",
  '$(touch /tmp/pinholed-hostile)',
  '`touch /tmp/pinholed-hostile`',
  '| touch /tmp/pinholed-hostile',
  '<?php touch("/tmp/pinholed-hostile"); ?>',
  '<script>document.title="hostile"</script>',
  '"><img src=x onerror=\'document.title="hostile"\'>',
  '</textarea><script>document.title="hostile"</script>',
  '*anchor &anchor !!tag {a: b} [c] ? - # %',
  'a: b\nplatform: linux',
  '\\" \\n \\u0022 \\',
  '../../../etc/passwd',
  '\u001b[31mred\u0007',
  '\u202Eright to left\u2066',
  'a\0b',
  'null true 0x10 1e9 ~',
  'é😀',
  'x'.repeat(5000),
];

/** Written as settings in the daemon’s own words, what is not to be set there; and the lines, from 1, that are refused for it. */
export const foreignSettings: readonly (readonly [text: string, lines: readonly number[]])[] = [
  ['mode: observe', [1]],
  ['daemon: {journal: /etc/passwd}', [1]],
  ['ice: true\nlog: {destination: /etc/passwd}', [2]],
  ['  socket: /etc/passwd', [1]],
  ['# only\n    journal: /etc/passwd', [2]],
  ['"mode": observe', [1]],
  ['? mode', [1]],
  ['--- {mode: observe}', [1]],
  ['...\n%YAML 1.1\n---', [1, 2, 3]],
  ['ice: true\rmode: observe', [2]],
  ['caps: {\n}, mode: observe', [2]],
  ['\tice: true', [1]],
  ['ice:true', [1]],
  ['ice: "\0"', [1]],
];

/** What is left open in a line of them: what follows is inside that setting all the same. */
export const openSettings: readonly string[] = [
  'ice: "',
  'ice: {',
  'ice: true}, mode: observe',
  'timers: [\n  mode: observe',
  'ice: |\n  mode: observe',
  'caps:\n  mode: observe',
];
