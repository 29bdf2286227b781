import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatProblem, loadConfig } from '../../src/config/load.ts';
import { printConfig, printJson } from '../../src/config/print.ts';
import { type Entries, entries, kebab, type Settings } from '../../src/config/schema.ts';

const keys = (nodes: Entries): string[] =>
  Object.entries(nodes).flatMap(([name, node]) => [
    kebab(name),
    ...(node.node === 'section' ? keys(node.entries) : []),
  ]);

const scraps = fc.constantFrom(
  ...keys(entries),
  ...[
    '[',
    ']',
    '{',
    '}',
    ': ',
    ',',
    '\n',
    '\n  ',
    '\n- ',
    '- ',
    '? ',
    '#',
    '"',
    "'",
    '|',
    '>',
    '&a ',
    '*a',
    '!!str ',
  ],
  ...[
    '10.0.0.0/8',
    '::/0',
    '5060',
    '10000-20000',
    '32s',
    'true',
    'off',
    '~',
    '0x10',
    '---\n',
    '...\n',
    '%',
    '\t',
    '\0',
  ],
);
const yamlish = fc.array(
  fc.oneof({ weight: 5, arbitrary: scraps }, fc.string({ unit: 'binary', maxLength: 4 })),
  {
    maxLength: 60,
  },
);

function mustLoad(text: string): Settings {
  const loaded = loadConfig(text, 'f');
  assert.ok('settings' in loaded, 'problems' in loaded ? loaded.problems.map(formatProblem).join('\n') : '');
  return loaded.settings;
}

describe('any text', () => {
  it('gives settings or problems with a place inside it, and never throws', () => {
    fc.assert(
      fc.property(yamlish, (parts) => {
        const text = parts.join('');
        const loaded = loadConfig(text, 'f');
        if ('settings' in loaded) return;
        assert.ok(loaded.problems.length > 0);
        const lines = text.split('\n');
        for (const { at, message } of loaded.problems) {
          if (at === null) continue;
          assert.ok(at.line >= 1 && at.line <= lines.length, `line ${at.line} of ${lines.length}`);
          assert.ok(at.column >= 1 && at.column <= lines[at.line - 1]!.length + 1, `column ${at.column}`);
          assert.doesNotMatch(message, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('that is accepted means the same after it was printed, as YAML and as JSON', () => {
    const duration = fc.integer({ min: 30, max: 180 }).map((seconds) => `${seconds}s`);
    const v4 = fc
      .tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255), fc.nat(255), fc.nat(255))
      .map((octets) => octets.join('.'));
    const v6 = fc
      .array(fc.nat(0xffff), { minLength: 8, maxLength: 8 })
      .map((groups) => groups.map((group) => group.toString(16)).join(':'));
    const given = fc.record(
      {
        inside: fc.uniqueArray(fc.oneof(v4, v6), { minLength: 1, maxLength: 5 }),
        'media-ports': fc
          .uniqueArray(fc.integer({ min: 1, max: 65535 }), { minLength: 2, maxLength: 8 })
          .map((ports) => ports.sort((a, b) => a - b))
          .map((ports) => ports.flatMap((port, i) => (i % 2 === 1 ? [`${ports[i - 1]}-${port}`] : []))),
        peers: fc.uniqueArray(v4, { minLength: 2, maxLength: 6 }).chain(([first, ...others]) =>
          fc
            .record(
              {
                name: fc.stringMatching(/^[a-z_][a-z0-9-]{0,8}$/),
                networks: fc.constant(others),
                calls: fc.integer({ min: 1, max: 1000 }),
                'media-source': fc.constantFrom('exact', 'signalling-peer', 'any'),
              },
              { requiredKeys: ['name', 'networks'] },
            )
            .map((named) => [first, named]),
        ),
        symmetric: fc.boolean(),
        fail: fc.constantFrom('open', 'closed'),
        timers: fc.record(
          { ringing: duration, offer: duration, drain: fc.constantFrom('0', '250ms', '2s') },
          { requiredKeys: [] },
        ),
        caps: fc.record(
          {
            calls: fc.integer({ min: 1, max: 1_000_000 }),
            'message-bytes': fc.integer({ min: 2048, max: 65536 }),
          },
          { requiredKeys: [] },
        ),
        daemon: fc.record(
          {
            journal: fc.constantFrom('/var/db/a b', '/tmp/"x"', '/é', 'off'),
            user: fc.constantFrom('root', 'null', 'yes', 'off'),
          },
          { requiredKeys: [] },
        ),
        linux: fc.record({ mark: fc.integer({ min: 1, max: 0xffffffff }) }),
        metrics: fc.oneof(
          fc.constant('off'),
          v6.map((address) => `[${address}]:9477`),
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(given, (values) => {
        const settings = mustLoad(JSON.stringify(values));
        assert.deepEqual(mustLoad(printConfig(settings)), settings);
        assert.deepEqual(mustLoad(printJson(settings)), settings);
      }),
      { numRuns: 200 },
    );
  });
});
