import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withoutShared } from '../shared.ts';
import { COUNTED_OTHERWISE } from './counted-otherwise.ts';
import { captureRows, type Row } from './manifest.ts';
import { replayFiles } from './replayed.ts';

describe('SIP messages as tshark counts them', { skip: withoutShared }, () => {
  for (const row of captureRows()) {
    it(row.name, () => {
      const { frames, sip, damage } = replayFiles(
        [row.path],
        {},
        { tunnels: row.features.includes('encap:gre') },
      );
      assert.equal(frames, row.frames);
      assert.deepEqual(damage, []);
      const other = COUNTED_OTHERWISE[row.name];
      assert.equal(sip.messages, other?.read ?? row.messages);
      if (other === undefined) checkAll(row, sip);
      else assert.notEqual(sip.messages, row.messages, 'no longer an exception');
    });
  }
});

function checkAll(row: Row, sip: ReturnType<typeof replayFiles>['sip']): void {
  assert.deepEqual(sip.byTransport, { udp: row.udp, tcp: row.tcp });
  assert.equal(sip.malformed, 0);
  assert.deepEqual(new Map([...sip.requests].sort()), new Map([...row.requests].sort()));
}
