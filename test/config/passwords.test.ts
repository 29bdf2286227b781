import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatProblem, loadConfig } from '../../src/config/load.ts';
import { quote, withoutPassword } from '../../src/config/problem.ts';

/** Ways to write a password into a configuration, and what may be said of each. */
const WRITTEN: readonly (readonly [text: string, shown: RegExp])[] = [
  ['peers-store: {url: "redis://:s3cret@10.9.0.1"}', /found the text "redis:\/\/:\*\*\*@10\.9\.0\.1"$/],
  ['peers-store: {url: rediss://fw:s3cret@h:6379/0}', /found "rediss:\/\/fw:\*\*\*@h:6379\/0"$/],
  ['peers-store: {url: "redis://fw:p@s3cret/#@h"}', /"redis:\/\/fw:\*\*\*@h"$/],
  [`peers-store: {url: "redis://fw:${'x'.repeat(70)}s3cret@h"}`, /"redis:\/\/fw:\*\*\*@h"$/],
  ['peers-store: {url: fw:s3cret@10.9.0.1}', /found "fw:\*\*\*@10\.9\.0\.1"$/],
  ['peers-store: {url: redis://fw:s3cret}', /found "redis:\/\/fw:\*\*\*"$/],
  ['peers-store: {url: "redis://h:6379/?password=s3cret"}', /"redis:\/\/h:6379\/\?\*\*\*"$/],
  ['peers-store: {others: ["redis://h", "redis://fw:s3cret@h"]}', /others\[1\]: .*"redis:\/\/fw:\*\*\*@h"$/],
  ['peers-store: redis://fw:s3cret@h', /found "redis:\/\/fw:\*\*\*@h"$/],
  ['redis://fw:s3cret@h: 1', /"redis:\/\/fw:\*\*\*@h": unknown key/],
  ['peers-store: {url: *redis://fw:s3cret@h}', /the alias "redis:\/\/fw:\*\*\*@h"/],
  ['peers-store: {url: !<redis://fw:s3cret@h> 1}', /the tag "redis:\/\/fw:\*\*\*@h"/],
  ['%redis://fw:s3cret@h\n---\nice: true', /unknown directive %redis:\/\/fw:\*\*\*@h$/],
  ['web: http://admin:s3cret@127.0.0.1:8480', /found "http:\/\/admin:\*\*\*@127\.0\.0\.1:8480"$/],
];

describe('the password in a URL', () => {
  for (const [text, shown] of WRITTEN) {
    it(`is not told: ${withoutPassword(text)}`, () => {
      const loaded = loadConfig(text, 'f.yaml');
      assert.ok('problems' in loaded);
      const lines = loaded.problems.map(formatProblem);
      assert.ok(
        lines.some((line) => shown.test(line)),
        lines.join('\n'),
      );
      assert.doesNotMatch(lines.join('\n'), /s3cret/);
    });
  }

  it('is all that is left out', () => {
    for (const text of [
      'redis://10.9.0.1:6379',
      'rediss://fw@store.example:6380/2',
      'redis://[2001:db8::1]:6379',
      'http://h:80/path',
      'sip:bob@example.com',
      '2001:db8::/32',
      'interface:em0',
      'bob@example.com',
    ]) {
      assert.equal(quote(text), JSON.stringify(text));
    }
  });
});
