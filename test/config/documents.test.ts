import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { configurationMarkdown } from '../../src/config/markdown.ts';
import { configurationMdoc } from '../../src/config/mdoc.ts';
import { printSample } from '../../src/config/print.ts';
import { defaults } from '../../src/config/schema.ts';

const file = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const mandoc = spawnSync('mandoc', ['-Tlint'], { input: '' });
const page = `.Dd January 1, 2026
.Dt PINHOLED.YAML 5
.Os
.Sh NAME
.Nm pinholed.yaml
.Nd configuration
.Sh DESCRIPTION
${configurationMdoc()}`;

describe('what is generated from the table of settings', () => {
  it('docs/configuration.md is up to date', () => {
    assert.equal(file('docs/configuration.md'), configurationMarkdown());
  });

  it('the sample for FreeBSD is up to date', () => {
    assert.equal(file('packaging/freebsd/pinholed.yaml.sample'), printSample('freebsd'));
  });

  it('the sample changes nothing as it is, and means the defaults with every setting uncommented', () => {
    const sample = file('packaging/freebsd/pinholed.yaml.sample');
    const uncommented = sample.replace(/^#(?=(?: {2})*[a-z-]+:)/gm, '');
    assert.ok(uncommented.match(/^ *[a-z-]+:/gm)!.length > 70);
    assert.deepEqual(loadConfig(sample, 'f'), { ok: true, settings: defaults() });
    assert.deepEqual(loadConfig(uncommented, 'f'), { ok: true, settings: defaults('freebsd') });
  });

  it('the example in the documentation is a valid configuration', () => {
    const [, example] = /```yaml\n(.*?)```/s.exec(configurationMarkdown())!;
    assert.ok('settings' in loadConfig(example!, 'f'));
  });

  it('the list for pinholed.yaml(5) is clean mdoc', { skip: mandoc.error ? 'needs mandoc' : false }, () => {
    const { stdout, stderr } = spawnSync('mandoc', ['-Tlint'], { input: page, encoding: 'utf8' });
    const complaints = `${stdout}${stderr}`
      .split('\n')
      .filter((line) => line !== '' && !line.includes('referenced manual not found'));
    assert.deepEqual(complaints, []);
  });

  it('the list for pinholed.yaml(5) reads as the table does', {
    skip: mandoc.error ? 'needs mandoc' : false,
  }, () => {
    const { stdout } = spawnSync('mandoc', ['-Tutf8', '-Owidth=200'], { input: page, encoding: 'utf8' });
    const text = stdout.replace(/.\x08/g, '').replace(/\s+/g, ' ');
    assert.match(text, / ringing A call that rings is given up after this time; .* default: ‘3m’\. /);
    assert.match(text, / divert-port The divert\(4\) port of the rules .* A change needs a restart\. /);
  });
});
