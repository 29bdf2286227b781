import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pluginFiles, withoutPhp } from './plugin.ts';

const names = readdirSync(pluginFiles, { recursive: true })
  .map(String)
  .filter((name) => statSync(join(pluginFiles, name)).isFile())
  .sort();
const textOf = (name: string) => readFileSync(join(pluginFiles, name), 'utf8');
const scripts = names.filter((name) => /^(#!.*\n)?<\?php\n/.test(textOf(name)));
const shells = names.filter((name) => textOf(name).startsWith('#!/bin/sh\n'));
const documents = names.filter((name) => name.endsWith('.xml'));

describe('OPNsense plugin: every file', () => {
  it('is PHP without errors or deprecations', { skip: withoutPhp }, () => {
    assert.ok(scripts.length > 10);
    for (const name of scripts) {
      const { status, stdout, stderr } = spawnSync(
        'php',
        ['-d', 'error_reporting=-1', '-d', 'display_errors=1', '-l', join(pluginFiles, name)],
        { encoding: 'utf8' },
      );
      assert.equal(status, 0, stdout + stderr);
      assert.match(stdout, /^No syntax errors/, name);
    }
  });

  it('is a shell script without errors', () => {
    assert.ok(shells.length > 2);
    for (const name of shells) {
      const { status, stderr } = spawnSync('sh', ['-n', join(pluginFiles, name)], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    }
  });

  it('is well-formed XML', { skip: withoutPhp }, (context) => {
    const script =
      'if (!class_exists("DOMDocument")) exit(3); libxml_use_internal_errors(false);' +
      'foreach (array_slice($argv, 1) as $f) { if (!(new DOMDocument())->load($f)) exit(1); }';
    const paths = documents.map((name) => join(pluginFiles, name));
    const { status, stdout, stderr } = spawnSync('php', ['-r', script, '--', ...paths], { encoding: 'utf8' });
    if (status === 3) return context.skip('there is no php-xml');
    assert.equal(status, 0, stdout + stderr);
    assert.equal(stdout + stderr, '');
  });

  it('is laid out as PSR-12 has it: four spaces, lines of at most 140 characters, a line end at the end', () => {
    for (const name of scripts) {
      const text = textOf(name);
      assert.match(text, /[^\n]\n$/, name);
      for (const [index, line] of text.split('\n').entries()) {
        assert.doesNotMatch(line, /\t|\r|[ ]+$/, `${name}:${index + 1}`);
        assert.ok(line.length <= 140, `${name}:${index + 1}: ${line.length} characters`);
      }
    }
  });

  it('may be executed where it begins with #!', () => {
    for (const name of names) {
      const isProgram = textOf(name).startsWith('#!');
      assert.equal((statSync(join(pluginFiles, name)).mode & 0o111) !== 0, isProgram, name);
    }
  });

  it('names no variable of a page with a word that Volt keeps for itself: such a page is a syntax error', () => {
    const kept = new Set(
      (
        'if else elsefor elseif endif for endfor switch case default endswitch in set null false true and or block ' +
        'endblock macro endmacro call endcall with return extends is not defined include empty even odd numeric scalar ' +
        'iterable cache endcache do autoescape endautoescape continue break verbatim endverbatim raw endraw'
      ).split(' '),
    );
    for (const name of names.filter((one) => one.endsWith('.volt'))) {
      const tags = [...textOf(name).matchAll(/\{[{%](.*?)[%}]\}/gs)].map(([, inner]) => inner!);
      const variables = tags.flatMap((tag) => [
        ...[...tag.matchAll(/^-? *(?:for|set) (\w+)(?:, *(\w+))?/g)].flatMap(([, one, other]) => [
          one,
          other,
        ]),
        ...[...tag.replace(/'[^']*'/g, "''").matchAll(/(\w+) *(?:\[|\.|\|)/g)].map(([, one]) => one),
      ]);
      assert.ok(variables.length > 3, name);
      for (const variable of variables) assert.ok(!kept.has(variable ?? ''), `${name}: ${variable}`);
    }
  });

  it('writes nothing of the network or the user into a page unescaped', () => {
    const views = names.filter((name) => name.endsWith('.volt'));
    assert.equal(views.length, 2);
    for (const name of views) {
      const shown = [...textOf(name).matchAll(/\{\{(.*?)\}\}/gs)].map(([, inner]) => inner!.trim());
      for (const inner of shown) {
        const isOurs = /^(lang\._\('|partial\('|grid(Mapping|Peer)\['table_id'\]$)/.test(inner);
        assert.ok(isOurs || inner.endsWith('| e'), `${name}: ${inner}`);
      }
      assert.doesNotMatch(textOf(name), /\.(html|append|prepend|before|after)\(\s*[a-z]+\.|innerHTML/, name);
    }
  });
});
