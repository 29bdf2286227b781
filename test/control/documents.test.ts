import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { CHECKS } from '../../src/checks/finding.ts';
import { createAlarmBoard } from '../../src/control/alarms.ts';
import { ERROR_CODES, LONGEST_REQUEST, PROTOCOL } from '../../src/control/protocol.ts';
import { createHandlers } from '../../src/control/service.ts';
import { startInProcess } from './in-process.ts';

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
const page = read('control.md');

/** Cells of the rows under a heading, without backquotes. */
function rows(heading: string, text = page): string[][] {
  const [, rest] = text.split(`\n## ${heading}\n`);
  assert.ok(rest, heading);
  const [section] = rest.split('\n## ');
  const lines = section!.split('\n### ')[0]!.split('\n');
  return lines
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replace(/^`|`$/g, '')),
    );
}

describe('docs/control.md', () => {
  it('has every error and what it means', () => {
    assert.deepEqual(Object.fromEntries(rows('Errors').map(([code, means]) => [code, means])), ERROR_CODES);
  });

  it('has every request', () => {
    const answered = [
      ...Object.keys(createHandlers(startInProcess().daemon, () => [null, null], createAlarmBoard())),
      'explain',
      'history',
      'recording',
      'blocked',
      'refused',
      'metrics',
    ];
    assert.deepEqual(
      rows('Requests')
        .map(([name]) => name)
        .sort(),
      answered.sort(),
    );
  });

  it('has the numbers that are in force', () => {
    assert.ok(page.includes(`"protocol":${PROTOCOL}}`));
    assert.ok(page.includes(`at most ${LONGEST_REQUEST} bytes`));
  });
});

describe('docs/doctor.md', () => {
  it('has every check and its section, in the order in which they are shown', () => {
    const listed = rows('Checks', read('doctor.md')).map(([check, section]) => [check, section]);
    assert.deepEqual(listed, Object.entries(CHECKS));
  });
});
