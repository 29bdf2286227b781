import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkNat } from '../../src/checks/nat.ts';
import { loadConfig } from '../../src/config/load.ts';

const HERE = new Map([
  ['em0', ['203.0.113.2', '192.168.0.2']],
  ['ppp0', []],
]);

function found(nat: string): string[] {
  const loaded = loadConfig(`nat: [${nat}]`, 'f');
  assert.ok('settings' in loaded);
  return checkNat(loaded.settings, HERE).map(({ level, text }) => `${level} ${text}`);
}

describe('external addresses, as doctor sees them', () => {
  it('are well where this machine has them, or the address that packets arrive at', () => {
    for (const more of ['', ', arrives-at: 192.168.0.2', ', arrives-at: 203.0.113.2']) {
      const external = more.includes('192') ? '198.51.100.9' : '203.0.113.2';
      assert.deepEqual(found(`{external: ${external}, hosts: [192.168.1.10]${more}}`), [
        'ok packets for the external addresses arrive here',
      ]);
    }
    assert.deepEqual(found('{external: interface:em0, hosts: [192.168.1.10]}').length, 1);
    assert.deepEqual(found(''), []);
  });

  it('are missed where nothing has them', () => {
    assert.match(
      found('{external: 198.51.100.9, hosts: [192.168.1.10]}').join(),
      /^caution no interface has 198\.51\.100\.9/,
    );
    assert.match(
      found('{external: interface:ppp0, hosts: [192.168.1.10]}').join(),
      /^caution ppp0 has no address/,
    );
    assert.deepEqual(
      found('{external: 198.51.100.9, hosts: [192.168.1.10], translation: ruleset}').length,
      1,
    );
  });
});
