import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { changedLine, faultyLine, missingOf, tablesIn } from '../../src/selftest/listing.ts';

describe('tables of a listing', () => {
  it('are told apart from those of iptables', () => {
    const listing = [
      '# Warning: table ip mangle is managed by iptables-nft, do not touch!',
      'table ip mangle {',
      '\tchain FORWARD {',
      '\t\tcounter packets 0 bytes 0 xt target "NFQUEUE"',
      '\t}',
      '}',
      'table inet pinholed {',
      '}',
      'table inet filter {',
      '\tchain forward {',
      '\t}',
      '}',
      '',
    ].join('\n');
    assert.deepEqual(
      tablesIn(listing).map(({ name, isForeign }) => [name, isForeign]),
      [
        ['ip mangle', true],
        ['inet pinholed', false],
        ['inet filter', false],
      ],
    );
    assert.equal(tablesIn(listing)[2]!.text, 'table inet filter {\n\tchain forward {\n\t}\n}\n');
  });

  it('are those that nft names in a warning beside it', () => {
    const listing = 'table ip filter {\n\tchain FORWARD {\n\t\tudp dport 5060 counter queue num 0\n\t}\n}\n';
    const warnings = '# Warning: table ip filter is managed by iptables-nft, do not touch!\n';
    assert.equal(tablesIn(listing, warnings)[0]!.isForeign, true);
    assert.equal(tablesIn(listing)[0]!.isForeign, false);
  });

  it('have matches of iptables with and without quotes, and none where a comment says so', () => {
    const with1 = (rule: string) =>
      tablesIn(`table ip filter {\n\tchain FORWARD {\n\t\t${rule}\n\t}\n}\n`)[0]!.isForeign;
    assert.equal(with1('xt match recent counter log'), true);
    assert.equal(with1('counter xt target "NFQUEUE"'), true);
    assert.equal(with1('accept comment "no xt match here"'), false);
  });

  it('are loaded without an owner and what keeps them, and stay asleep if they are', () => {
    const table = (head: string, flags: string) =>
      `table inet t {${head}\n\tflags${flags}\n\n\tset s {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t}\n}\n`;
    const textOf = (head: string, flags: string) => tablesIn(table(head, flags))[0]!.text;
    const plain = 'table inet t {\n\n\tset s {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t}\n}\n';
    assert.equal(textOf(' # progname firewalld', ' owner'), plain);
    assert.equal(textOf(' # progname firewalld', ' owner,persist'), plain);
    assert.equal(textOf('', ' persist'), plain);
    assert.equal(textOf('', ' '), plain);
    assert.equal(textOf('', ''), plain);
    assert.equal(textOf('', ' dormant,owner'), plain.replace('{\n', '{\n\tflags dormant\n'));
  });

  const filter = (...rules: string[]) =>
    tablesIn(`table inet filter {\n\tchain forward {\n\t\t${rules.join('\n\t\t')}\n\t}\n}\n`);

  it('are compared with those that arrived', () => {
    const tables = filter('drop');
    assert.deepEqual(missingOf(tables, tables), []);
    assert.deepEqual(missingOf(tables, []), ['table inet filter']);
    const other = tablesIn('table inet filter {\n\tchain input {\n\t}\n}\n');
    assert.deepEqual(missingOf(tables, other), ['chain forward of table inet filter']);
    assert.equal(changedLine(tables, tables), null);
    const change = (line: string) => ({ table: 'inet filter', line });
    assert.deepEqual(
      changedLine(filter('udp dport 1 drop', 'accept'), filter('accept')),
      change('udp dport 1 drop'),
    );
    assert.deepEqual(changedLine(filter('accept'), filter('accept', 'drop')), change('drop'));
  });
});

describe('a line that is not taken', () => {
  const rules = 'table ip filter {\n\tchain FORWARD {\n\t\txt match recent log\n\t}\n}\n';

  it('is the one that nft names, with its reason', () => {
    const complaint =
      '/dev/stdin:3:3-17: Error: unsupported xtables compat expression, use iptables-nft with this ruleset\n' +
      '\t\txt match recent log\n\t\t^^^^^^^^^^^^^^^\n';
    assert.deepEqual(faultyLine(complaint, rules), {
      line: 'xt match recent log',
      reason: 'unsupported xtables compat expression, use iptables-nft with this ruleset',
    });
  });

  it('is the one that iptables names, in both of its ways', () => {
    const saved = '*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m nosuch -j ACCEPT\nCOMMIT\n';
    for (const complaint of [
      "iptables-restore v1.8.9 (legacy): Couldn't load match `nosuch'\n\nError occurred at line: 3\nTry `-h'\n",
      'iptables-nft-restore: line 3 failed\n',
    ]) {
      assert.equal(faultyLine(complaint, saved)?.line, '-A FORWARD -m nosuch -j ACCEPT');
    }
  });

  it('is none where none is named', () => {
    assert.equal(faultyLine('Operation not permitted\n', rules), null);
    assert.equal(faultyLine('/dev/stdin:99:1-2: Error: syntax error\n', rules), null);
  });
});
