import type { ExposureResult } from '../../control/protocol.ts';
import { countText, plural } from '../../counted.ts';
import { type Style, wrapText } from '../style.ts';
import { tableLines } from './table.ts';
import { ageText, largeText } from './words.ts';

/** `pinholed exposure` for people: both numbers, their ratio and how they come about. */
export function exposureText(exposure: ExposureResult, style: Style): string {
  const { span, range, hosts, pinholes, ratio, atLeast } = exposure;
  const rule = `static rule ${range[0]}-${range[1]}`;
  const ports = range[1] - range[0] + 1;
  const most = atLeast ? 'at least ' : '';
  const rows = [
    [
      'ports x seconds',
      largeText(exposure.static.portSeconds),
      largeText(pinholes.portSeconds),
      timesText(ratio.portSeconds),
    ],
    [
      'sources x ports x seconds',
      largeText(exposure.static.sourcePortSeconds),
      largeText(pinholes.sourcePortSeconds),
      timesText(ratio.sourcePortSeconds),
    ],
    [
      'source addresses let in',
      `any of ${countText(exposure.static.sources)}`,
      `${most}${countText(pinholes.sources)}`,
      '',
    ],
    ['ports open now', countText(ports * hosts), countText(pinholes.portsNow), ''],
  ];
  const columns = [
    { head: '' },
    { head: rule.toUpperCase(), right: true },
    { head: 'PINHOLES', right: true },
    { head: 'RATIO', right: true },
  ] as const;
  const how = [
    `Measured over ${ageText(span)}, since the daemon took its first packet, from the changes that the packet filter confirmed.`,
    `Static rule: ${countText(ports)} ports x ${most}${plural(hosts, 'inside host')} that had a pinhole x ${Math.round(span)} s, open to every IPv4 address all the time.`,
    `Pinholes: for each, its ports x the seconds it was open; for sources, that times the number of addresses that may send.`,
    ...(pinholes.anySourcePortSeconds > 0
      ? [
          `${largeText(pinholes.anySourcePortSeconds)} of the port-seconds were open to any source (early-media-source or media-source: any), counted as all of IPv4.`,
        ]
      : []),
  ];
  return [
    ...tableLines(columns, rows, style.strong),
    '',
    ...how.flatMap((sentence) => wrapText(sentence, style.width)),
    '',
  ].join('\n');
}

function timesText(ratio: number | null): string {
  return ratio === null ? '-' : `${largeText(ratio)} to 1`;
}
