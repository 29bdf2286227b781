import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageFiles, withoutPhp } from './package.ts';

const names = readdirSync(packageFiles, { recursive: true }).map(String).sort();
const files = names.filter((name) => /\.(inc|php)$/.test(name));
const documents = names.filter((name) => name.endsWith('.xml'));

describe('pfSense package: every PHP file', { skip: withoutPhp }, () => {
  it('is PHP without errors or deprecations', () => {
    const paths = files.map((name) => join(packageFiles, name));
    const script =
      'foreach (array_slice($argv, 1) as $f) { passthru("php -d error_reporting=-1 -d display_errors=1 -l " . escapeshellarg($f), $rc); if ($rc) exit(1); }';
    const { status, stdout, stderr } = spawnSync('php', ['-r', script, '--', ...paths], { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
    assert.deepEqual(
      stdout.split('\n').filter((line) => line !== '' && !line.startsWith('No syntax errors')),
      [],
    );
  });

  it('is laid out as pfSense’s own files are: tabs, no blanks at the end, a line end at the end', () => {
    for (const name of files) {
      const text = readFileSync(join(packageFiles, name), 'utf8');
      assert.match(text, /^<\?php\n\/\*\n \* /, name);
      assert.match(text, /[^\n]\n$/, name);
      for (const [index, line] of text.split('\n').entries()) {
        assert.doesNotMatch(line, /[ \t]+$|^ {2,}\S|\r/, `${name}:${index + 1}`);
      }
    }
  });

  /** pfSense reads config.xml and what packages bring by hand: an element has elements or text, once each, or is one of a list. */
  it('has XML that pfSense’s reader can take', (context) => {
    const script = `if (!class_exists("DOMDocument")) exit(3);
      $d = new DOMDocument(); if (!$d->load($argv[1])) exit(1);
      $lists = ["field", "item", "menu", "option", "rowhelperfield", "service", "tab", "package"];
      foreach ((new DOMXPath($d))->query("//*[*]") as $e) {
        $seen = [];
        foreach ($e->childNodes as $c) {
          if ($c instanceof DOMCharacterData && !($c instanceof DOMComment) && trim($c->data) !== "") echo $c->getLineNo() . ": text beside elements\\n";
          if ($c instanceof DOMElement && !in_array($c->nodeName, $lists) && isset($seen[$c->nodeName])) echo $c->getLineNo() . ": twice\\n";
          if ($c instanceof DOMElement) $seen[$c->nodeName] = true;
        }
      }`;
    for (const name of documents) {
      const { status, stdout, stderr } = spawnSync('php', ['-r', script, '--', join(packageFiles, name)], {
        encoding: 'utf8',
      });
      if (status === 3) return context.skip('there is no php-xml');
      assert.equal(status, 0, stderr);
      assert.equal(stdout + stderr, '', name);
    }
  });
});
