import { modeText } from '../../control/mode.ts';
import type { Alarm, Quantiles, StatusResult } from '../../control/protocol.ts';
import { countText, plural } from '../../counted.ts';
import { staticMediaText } from '../static-media.ts';
import { type Style, wrapText } from '../style.ts';
import { dateText } from '../time.ts';
import { groupTexts } from './group.ts';
import { listLines } from './table.ts';
import { ageText, bytesText, shortSpanText } from './words.ts';

/** `pinholed status` for people. */
export function statusText(status: StatusResult, client: string, style: Style): string {
  const { counters, media, messages, mode, adopted } = status;
  const versions = status.version === client ? '' : ` (this program is ${client})`;
  const missing = status.pinholesMissing === 0 ? '' : `, ${style.bad(`${status.pinholesMissing} missing`)}`;
  const pairs: [string, string][] = [
    ['version', `pinholed ${status.version}${versions} on ${status.system}, ${status.runtime}`],
    ['up', `${ageText(status.uptime)}, since ${dateText(status.startedAt * 1000)} UTC`],
    ['process', `pid ${status.pid}, user ${status.user}${mode.supervised ? ', supervised' : ''}`],
    ['platform', status.platform],
    ...status.description.map((line): [string, string] => ['', line]),
    ['mode', modeText(mode)],
    ['calls', callsText(status, style)],
    ['pinholes', `${countText(status.pinholes)} open${missing}`],
    ...status.staticMedia.map((use, at): [string, string] => [
      at === 0 ? 'static-media' : '',
      staticMediaText(use),
    ]),
    ...(adopted.calls === 0 ? [] : [adoptedPair(adopted)]),
    [
      'packets',
      `${countText(counters.received)} received, ${countText(counters.released)} released, ${countText(counters.dropped)} dropped`,
    ],
    [
      'messages',
      `${countText(messages.udp)} UDP, ${countText(messages.tcp)} TCP, ${mirroredText(status)}${status.malformed} malformed`,
    ],
    ['bytes modified', `${status.bytesModified} (of ${plural(status.packetsCompared, 'packet')} compared)`],
    ['refused', countText(status.refused)],
    [
      'commits',
      `${countText(counters.commits)} confirmed, ${counters.retries} asked again, ${counters.commitErrors} failed, ${counters.repairs} repairs`,
    ],
    ['media passed', `${plural(media.packets, 'packet')}, ${bytesText(media.bytes)}`],
    ['inspection', quantilesText(status.latency.inspection)],
    ['commit', quantilesText(status.latency.commit)],
    ['losses', lossesText(status.platformCounters)],
    ...(status.group === null ? [] : groupTexts(status.group, style.bad)).map(
      (text, at): [string, string] => [at === 0 ? 'shared' : '', text],
    ),
  ];
  return [...listLines(pairs), '', ...alarmLines(status.alarms, style), ''].join('\n');
}

function callsText({ calls, callsStarted, callsWithoutAudio }: StatusResult, style: Style): string {
  const missed =
    callsWithoutAudio === 0 ? '' : `, ${style.bad(`${countText(callsWithoutAudio)} without audio`)}`;
  return `${countText(calls)} now${missed}, ${countText(callsStarted)} since the start`;
}

/** `12 mirrored, `; empty where nobody mirrors any. */
function mirroredText({ mirrored }: StatusResult): string {
  return mirrored > 0 ? `${countText(mirrored)} mirrored, ` : '';
}

function adoptedPair({ calls, pinholes }: StatusResult['adopted']): [string, string] {
  return ['taken up', `${plural(calls, 'call')} with ${plural(pinholes, 'pinhole')} from the journal`];
}

function quantilesText({ median, p99, longest }: Quantiles): string {
  if (longest === 0) return 'nothing measured yet';
  const bound = (seconds: number | null) =>
    seconds === null ? 'over 1 s' : `at most ${shortSpanText(seconds)}`;
  return `half ${bound(median)}, 99% ${bound(p99)}, longest ${shortSpanText(longest)}`;
}

function lossesText(counters: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counters);
  return entries.length === 0
    ? 'none'
    : entries.map(([name, count]) => `${name} ${countText(count)}`).join(', ');
}

/** Every alarm with what to do about it. */
function alarmLines(alarms: readonly Alarm[], style: Style): string[] {
  if (alarms.length === 0) return [style.good('No alarms.')];
  return alarms.flatMap(({ name, text, advice, since, last }) => [
    ...hanging(style.bad('ALARM'), text, 5, style.width),
    ...hanging('  at', `${whenText(last)}, since ${whenText(since)} (${name})`, 5, style.width),
    ...hanging('  do', advice, 5, style.width),
  ]);
}

/** `2026-11-27 04:35:01 UTC`, of seconds since the epoch. */
function whenText(at: number): string {
  return `${dateText(at * 1000).slice(0, 19)} UTC`;
}

function hanging(lead: string, text: string, columns: number, width: number): string[] {
  return wrapText(text, width - columns - 2).map(
    (line, index) =>
      `${index === 0 ? lead : ' '.repeat(columns)}${index === 0 && lead.startsWith(' ') ? ' ' : ''}  ${line}`,
  );
}
