import { describe, it } from 'node:test';
import { loadLibc } from '../../native-bindings/engine.ts';
import { freebsdChecks } from './freebsd-checks.ts';

const skip =
  process.platform !== 'freebsd'
    ? 'needs a FreeBSD kernel'
    : process.geteuid?.() !== 0
      ? 'needs root: it opens /dev/pf and a divert socket'
      : false;

describe('pf and divert, on this kernel', { skip }, () => {
  for (const { name, run } of freebsdChecks) {
    it(name, async () => run(await loadLibc()));
  }
});
