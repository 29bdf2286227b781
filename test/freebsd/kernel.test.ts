import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { loadLibc } from '../../native-bindings/engine.ts';
import { openPf } from '../../native-bindings/freebsd/pf.ts';
import { firewallChecks } from './firewall-checks.ts';

const skip =
  process.platform !== 'freebsd'
    ? 'needs a FreeBSD kernel'
    : process.geteuid?.() !== 0
      ? 'needs root: it opens /dev/pf'
      : false;

describe('pf firewall, on this kernel', { skip }, () => {
  const flush = (path: string) => void execFileSync('pfctl', ['-q', '-a', path, '-F', 'rules']);
  for (const { name, run } of firewallChecks) {
    it(name, async () => {
      const pf = openPf(await loadLibc());
      try {
        run(pf, flush);
      } finally {
        pf.close();
      }
    });
  }
});
