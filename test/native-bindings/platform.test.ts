import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import { engineFromEnvironment } from '../../native-bindings/engine.ts';
import { errnoSymbol, freebsdErrno, linuxErrno, SystemError } from '../../native-bindings/errno.ts';
import { PlatformError, platformOf } from '../../native-bindings/platform.ts';
import { sharedDir, withoutShared } from '../shared.ts';

describe('platform', () => {
  it('takes FreeBSD and Linux on 64-bit little-endian machines', () => {
    assert.deepEqual(platformOf({ platform: 'freebsd', arch: 'arm64', endianness: 'LE' }), {
      system: 'freebsd',
      architecture: 'arm64',
    });
    assert.equal(platformOf({ platform: 'linux', arch: 'x64', endianness: 'LE' }).system, 'linux');
  });

  for (const [platform, arch, endianness] of [
    ['openbsd', 'x64', 'LE'],
    ['freebsd', 'ia32', 'LE'],
    ['linux', 'ppc64', 'LE'],
    ['linux', 'arm64', 'BE'],
  ] as const) {
    it(`refuses ${platform}/${arch} ${endianness}`, () => {
      assert.throws(
        () => platformOf({ platform, arch, endianness }),
        (error) =>
          error instanceof PlatformError &&
          error.message ===
            `pinholed: platform ${platform}/${arch} is not supported: expected freebsd or linux on x64 or arm64`,
      );
    });
  }
});

describe('engine', () => {
  it('is koffi unless the environment says otherwise', () => {
    assert.equal(engineFromEnvironment(''), 'koffi');
    assert.equal(engineFromEnvironment('koffi'), 'koffi');
    assert.equal(engineFromEnvironment('ffi-napi'), 'ffi-napi');
    assert.throws(
      () => engineFromEnvironment('node-ffi'),
      /PINHOLED_FFI is "node-ffi": expected koffi or ffi-napi/,
    );
  });
});

describe('errno', () => {
  it('has the numbers of the running system', () => {
    const table = process.platform === 'freebsd' ? freebsdErrno : linuxErrno;
    const known = Object.entries(constants.errno).filter(([symbol]) => symbol in table);
    assert.ok(known.length > 50);
    for (const [symbol, number] of known) assert.equal(table[symbol], number, symbol);
  });

  it('has FreeBSD’s numbers', { skip: withoutShared }, () => {
    const abi = JSON.parse(readFileSync(`${sharedDir}/freebsd/abi.json`, 'utf8')) as {
      constants: Record<string, number>;
    };
    const expected = Object.entries(abi.constants).filter(([name]) => /^E[A-Z]+$/.test(name));
    assert.ok(expected.length >= 20);
    for (const [symbol, number] of expected) assert.equal(freebsdErrno[symbol], number, symbol);
  });

  it('tells the systems apart', () => {
    assert.equal(errnoSymbol('freebsd', 35), 'EAGAIN');
    assert.equal(errnoSymbol('linux', 35), 'EDEADLK');
    assert.equal(errnoSymbol('freebsd', 55), 'ENOBUFS');
    assert.equal(errnoSymbol('linux', 9999), 'E?9999');
  });

  it('makes an error that names call, subject and symbol', () => {
    const error = new SystemError('freebsd', 'DIOCADDRULE', 16, 'pinholed/03');
    assert.equal(error.message, 'DIOCADDRULE (pinholed/03): EBUSY: busy');
    assert.deepEqual([error.call, error.code, error.number], ['DIOCADDRULE', 'EBUSY', 16]);
  });
});
