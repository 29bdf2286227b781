import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createSearchedPinholes } from '../../src/history/pinholes.ts';
import type { PinholeHappening } from '../../src/inspector/happening.ts';

const PORT = 4000;
const ADDRESS = '192.0.2.10';

/** Each call has the same pinhole. */
function happening(what: 'opened' | 'closed', call: number): PinholeHappening {
  return {
    type: 'pinhole',
    what,
    at: call,
    openedAt: call,
    call: { legId: `leg${call}`, callId: `call${call}`, parties: ['', ''], from: '', to: '' },
    slot: '0.0',
    agreed: true,
    reason: what === 'closed' ? 'bye' : null,
    until: 0,
    pinhole: {
      direction: 'in',
      protocol: 'udp',
      sources: 'any',
      sourcePort: null,
      address: ADDRESS,
      ports: [PORT, PORT + 1],
      translation: null,
      id: `udp any > ${ADDRESS} ${PORT}-${PORT + 1}`,
      kind: 'rtp+rtcp',
      media: 'audio',
      label: `pinholed:${call}:0.0`,
    },
  } as Partial<PinholeHappening> as PinholeHappening;
}

const PLACE = { file: 0, frame: 1 };

describe('pinholes of calls that share a port', () => {
  it('are found in the order in which they were opened, whichever is closed first', () => {
    const pinholes = createSearchedPinholes();
    const tell = (what: 'opened' | 'closed', ...calls: readonly number[]) => {
      for (const call of calls) pinholes.take(happening(what, call), PLACE, PLACE);
    };
    const open = () => pinholes.openAt(ADDRESS, PORT + 1).map(({ legId }) => legId);
    const latest = () => pinholes.latestAt(ADDRESS, PORT)?.legId ?? null;
    tell('opened', 1);
    assert.deepEqual([open(), latest()], [['leg1'], 'leg1']);
    tell('opened', 2, 3, 4);
    assert.deepEqual([open(), latest()], [['leg1', 'leg2', 'leg3', 'leg4'], 'leg4']);
    tell('closed', 4);
    assert.deepEqual([open(), latest()], [['leg1', 'leg2', 'leg3'], 'leg3']);
    tell('closed', 1, 2);
    assert.deepEqual([open(), latest()], [['leg3'], 'leg3']);
    tell('closed', 3);
    assert.deepEqual([open(), latest()], [[], null]);
    assert.equal(pinholes.closedAt(ADDRESS, PORT)?.legId, 'leg3');
    tell('opened', 5);
    assert.deepEqual([open(), latest()], [['leg5'], 'leg5']);
    pinholes.forget('leg5');
    assert.deepEqual([open(), latest()], [[], null]);
  });

  it('are told of no more than can be read, the latest', () => {
    const pinholes = createSearchedPinholes();
    for (let call = 1; call <= 100; call++) pinholes.take(happening('opened', call), PLACE, PLACE);
    const open = pinholes.openAt(ADDRESS, PORT);
    assert.deepEqual([open.length, open[0]?.legId, open.at(-1)?.legId], [64, 'leg37', 'leg100']);
  });
});
