import { type Metric, Registry, type RegistryContentType } from 'prom-client';
import { REFUSALS, type RefusalReason } from '../call/refusal.ts';
import { BUCKET_BOUNDS, type Distribution } from '../daemon/data-path/histogram.ts';
import type { DataPathStatus } from '../daemon/messages.ts';
import type { GroupStatus } from '../daemon/peers/group.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import { PACKET_ERRORS } from '../packet/ip.ts';
import { VERSION } from '../version.ts';
import type { AlarmBoard } from './alarms.ts';
import type { BlockedMedia } from './blocked.ts';
import type { Counted, Exemplar, Exemplars } from './exemplars.ts';
import { runtimeName } from './service.ts';

/** Everything that a metric can be made of, at one moment. */
interface Measured {
  readonly status: DataPathStatus;
  readonly daemon: Pick<RunningDaemon, 'about' | 'settings' | 'traffic' | 'group' | 'clock'>;
  readonly board: AlarmBoard;
  /** Null: none are told. */
  readonly exemplars: Exemplars | null;
  readonly blocked: Pick<BlockedMedia, 'total'>;
}

/** With how the group stands, which takes a look at all its calls; null where calls are shared with nobody. */
interface Known extends Measured {
  readonly group: GroupStatus | null;
}

type Labels = Readonly<Record<string, string>>;

interface Sample {
  readonly value: number;
  readonly labels?: Labels;
  /** Where it is not the metric's own: `_bucket`, `_sum`, `_count`. */
  readonly metricName?: string;
  readonly exemplar?: Exemplar | undefined;
}

interface Definition {
  /** By Prometheus' conventions: base units, `_total` for counters. */
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly samples: (measured: Known) => readonly Sample[];
}

const counters = (
  name: string,
  help: string,
  samples: (measured: Known) => readonly Sample[],
): Definition => ({ name, type: 'counter', help, samples });

const counter = (
  name: string,
  help: string,
  value: (measured: Known) => number,
  counted?: Counted,
): Definition =>
  counters(name, help, (measured) => [
    { value: value(measured), exemplar: counted && measured.exemplars?.of(counted) },
  ]);

const gauge = (name: string, help: string, value: (measured: Known) => number): Definition => ({
  ...{ name, type: 'gauge', help },
  samples: (measured) => [{ value: value(measured) }],
});

const histogram = (name: string, help: string, of: (status: DataPathStatus) => Distribution): Definition => ({
  name,
  type: 'histogram',
  help,
  samples: ({ status }) => bucketSamples(name, of(status)),
});

function bucketSamples(name: string, { counts, count, sum }: Distribution): Sample[] {
  const metricName = `${name}_bucket`;
  let below = 0;
  const buckets = BUCKET_BOUNDS.map((micros, index) => {
    below += counts[index]!;
    return { metricName, labels: { le: String(micros / 1e6) }, value: below };
  });
  return [
    ...buckets,
    { metricName, labels: { le: '+Inf' }, value: count },
    { metricName: `${name}_sum`, value: sum / 1000 },
    { metricName: `${name}_count`, value: count },
  ];
}

function byLabel(label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }));
}

/** A count for each of `all`: a counter that begins with its first event has no rate for it. */
function fromZero(all: object, counted: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.keys(all).map((reason) => [reason, counted[reason] ?? 0]));
}

const REFUSAL_REASONS = Object.keys(REFUSALS) as RefusalReason[];

/** Every metric there is. */
export const METRICS: readonly Definition[] = [
  {
    name: 'pinholed_build_info',
    type: 'gauge',
    help: 'Always 1; version, platform and runtime are labels.',
    samples: ({ daemon }) => [
      { value: 1, labels: { version: VERSION, platform: daemon.about.platform, runtime: runtimeName() } },
    ],
  },
  gauge(
    'process_start_time_seconds',
    'When the process started, in seconds since the epoch.',
    ({ daemon }) => daemon.about.startedAt / 1000,
  ),
  gauge('process_resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss()),
  counter('process_cpu_seconds_total', 'Processor time of all threads, user and system.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }),
  gauge('pinholed_calls', 'Calls that have not ended.', ({ status }) => status.calls),
  counter(
    'pinholed_calls_started_total',
    'Calls that were begun.',
    ({ status }) => status.inspector.callsStarted,
    'started',
  ),
  gauge(
    'pinholed_calls_without_audio',
    'Calls that are up and miss audio in one direction, or in both.',
    ({ status }) => status.withoutAudio,
  ),
  counter(
    'pinholed_audio_missed_total',
    'Times that audio was missed in a call that was up: see timers.no-audio.',
    ({ status }) => status.inspector.callsWithoutAudio,
    'no-audio',
  ),
  {
    name: 'pinholed_static_media_peers',
    type: 'gauge',
    help: 'Peers of static-media that have a connection or a registration, by entry.',
    samples: ({ status }) =>
      status.staticMedia.map(({ name, peers }) => ({ labels: { entry: name }, value: peers })),
  },
  {
    name: 'pinholed_static_media_ports',
    type: 'gauge',
    help: 'Ports open for them, each for each of its hosts and senders: at most caps.static-ports.',
    samples: ({ status }) =>
      status.staticMedia.map(({ name, ports }) => ({ labels: { entry: name }, value: ports })),
  },
  gauge('pinholed_pinholes', 'Pinholes that should be open.', ({ status }) => status.pinholes),
  gauge(
    'pinholed_pinholes_missing',
    'Pinholes that the packet filter refused to open.',
    ({ status }) => status.missing,
  ),
  gauge(
    'pinholed_open_ports',
    'Destination ports that pinholes open now.',
    ({ status }) => status.exposure.ports,
  ),
  counter(
    'pinholed_open_port_seconds_total',
    'Ports that pinholes opened times the seconds they were open.',
    ({ status }) => status.exposure.portTime / 1000,
  ),
  gauge(
    'pinholed_peers_store_joined',
    'Whether calls are shared with other firewalls at this moment; 0 also where peers-store is off.',
    ({ group }) => Number(group?.state === 'joined'),
  ),
  gauge(
    'pinholed_peers_members',
    'Firewalls of the group that are there, this one included.',
    ({ group }) => group?.members.length ?? 0,
  ),
  {
    name: 'pinholed_peers_calls',
    type: 'gauge',
    help: 'Calls under way that this firewall of the group, or others, had to do with last.',
    samples: ({ group }) => {
      const { own = 0, others = 0 } = group ?? {};
      return byLabel('owner', { self: own, others });
    },
  },
  gauge(
    'pinholed_peers_unwritten',
    'Changes of calls that the store has yet to hear of.',
    ({ group }) => group?.waiting ?? 0,
  ),
  gauge(
    'pinholed_peers_lag_seconds',
    'From the last write to its coming back as news.',
    ({ group }) => (group?.lag ?? 0) / 1000,
  ),
  gauge(
    'pinholed_peers_contact_seconds',
    'Since the last answer of the store, or since the start where there was none; 0 also where peers-store is off.',
    ({ group, daemon }) => (group === null ? 0 : (daemon.clock() - (group.contact ?? group.since)) / 1000),
  ),
  counter(
    'pinholed_peers_records_refused_total',
    'Records of other firewalls that could not be taken up.',
    ({ group }) => group?.refused ?? 0,
  ),
  counter(
    'pinholed_packets_waited_total',
    'Packets that waited until other firewalls had their pinholes.',
    ({ status }) => status.counters.waited,
  ),
  counter(
    'pinholed_packets_overdue_total',
    'Packets that went on before every other firewall had their pinholes.',
    ({ status }) => status.counters.overdue,
  ),
  counter(
    'pinholed_packets_received_total',
    'Packets handed over by the packet filter.',
    ({ status }) => status.counters.received,
  ),
  counter('pinholed_packets_released_total', 'Packets put back.', ({ status }) => status.counters.released),
  counter(
    'pinholed_packets_dropped_total',
    'Packets dropped on purpose.',
    ({ status }) => status.counters.dropped,
  ),
  counters(
    'pinholed_packets_unreadable_total',
    'Packets whose headers cannot be read, by what is wrong.',
    ({ status }) => byLabel('reason', fromZero(PACKET_ERRORS, status.inspector.unreadable)),
  ),
  counter(
    'pinholed_packets_compared_total',
    'Packets that were compared before their release with what was received.',
    ({ status }) => status.fidelity.compared,
  ),
  counter(
    'pinholed_bytes_modified_total',
    'Bytes found changed in them; always 0.',
    ({ status }) => status.fidelity.modified,
  ),
  counters(
    'pinholed_platform_events_total',
    'What divert(4) or NFQUEUE counts beside packets, losses above all.',
    ({ status }) => byLabel('event', status.platform),
  ),
  counters('pinholed_sip_messages_total', 'SIP messages read.', ({ status }) =>
    byLabel('transport', status.inspector.messages),
  ),
  counters(
    'pinholed_sip_messages_by_method_total',
    'The same by method; a response counts for the method it answers.',
    ({ status }) => byLabel('method', status.inspector.methods),
  ),
  counters('pinholed_sip_responses_total', 'SIP responses by status code.', ({ status }) =>
    byLabel('code', status.inspector.responses),
  ),
  counter(
    'pinholed_sip_mirrored_total',
    'SIP messages read from copies that a PBX or proxy mirrors (HEP).',
    ({ status }) => status.inspector.mirrored,
  ),
  counter(
    'pinholed_sip_malformed_total',
    'Messages that look like SIP and cannot be read.',
    ({ status }) => status.inspector.malformed,
  ),
  counter(
    'pinholed_spoofed_packets_total',
    "Packets with an inside host's address that did not come in from inside.",
    ({ status }) => status.inspector.spoofed,
  ),
  counter(
    'pinholed_sip_keepalives_total',
    'Keepalives between SIP endpoints.',
    ({ status }) => status.inspector.keepalives,
  ),
  counter(
    'pinholed_packets_not_sip_total',
    'Packets that hold no SIP.',
    ({ status }) => status.inspector.notSip,
  ),
  counters(
    'pinholed_refusals_total',
    'What got no pinhole, by reason: see docs/refusals.md.',
    ({ status, exemplars }) =>
      REFUSAL_REASONS.map((reason) => ({
        labels: { reason },
        value: status.inspector.refusals[reason] ?? 0,
        exemplar: exemplars?.of(reason),
      })),
  ),
  counter(
    'pinholed_firewall_commits_total',
    'Changes that the packet filter confirmed.',
    ({ status }) => status.counters.commits,
  ),
  counter(
    'pinholed_firewall_retries_total',
    'Changes asked again because the packet filter was busy.',
    ({ status }) => status.counters.retries,
  ),
  counter(
    'pinholed_firewall_errors_total',
    'Changes that the packet filter refused for good.',
    ({ status }) => status.counters.commitErrors,
  ),
  counter(
    'pinholed_firewall_repairs_total',
    'Times that the rules of the packet filter were put right.',
    ({ status }) => status.counters.repairs,
  ),
  counter(
    'pinholed_unexpected_errors_total',
    'Exceptions where there should be none; the packet went on.',
    ({ status }) => status.counters.exceptions,
  ),
  counter(
    'pinholed_packet_deaths_total',
    'Packets that the data path died of, since the supervisor was started; they passed unread.',
    ({ status }) => status.counters.deaths,
  ),
  counter(
    'pinholed_packets_unread_total',
    'Packets that passed unread because the data path had died of the same before.',
    ({ status }) => status.counters.unread,
  ),
  counter(
    'pinholed_events_lost_total',
    'Lines of the log and of histories left out because there were too many.',
    ({ status }) => status.counters.eventsLost,
  ),
  counter(
    'pinholed_states_left_total',
    'Closed pinholes whose states were not removed because too many closed at once.',
    ({ status }) => status.counters.statesLeft,
  ),
  counter(
    'pinholed_media_packets_total',
    'Packets that pinholes passed.',
    ({ daemon }) => daemon.traffic().packets,
  ),
  counter(
    'pinholed_media_bytes_total',
    'Bytes that pinholes passed.',
    ({ daemon }) => daemon.traffic().bytes,
  ),
  counter(
    'pinholed_media_blocked_packets_total',
    'Packets near calls that the ruleset dropped and logged: see blocked.watch.',
    ({ blocked }) => blocked.total(),
  ),
  histogram(
    'pinholed_inspection_duration_seconds',
    'From the receipt of a packet until it is known what it asks for.',
    ({ inspection }) => inspection,
  ),
  histogram(
    'pinholed_commit_duration_seconds',
    'From a change to its confirmation by the packet filter.',
    ({ commit }) => commit,
  ),
  gauge(
    'pinholed_alarms',
    'Things to look at: see `pinholed status`.',
    ({ status, board }) => board.look(status).length,
  ),
];

/** Prometheus' text format 0.0.4, or OpenMetrics 1.0, which alone has exemplars. */
export type MetricsFormat = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<MetricsFormat, RegistryContentType>> = {
  prometheus: Registry.PROMETHEUS_CONTENT_TYPE,
  openmetrics: Registry.OPENMETRICS_CONTENT_TYPE,
};

/** Everything measured at this moment. */
export async function metricsText(measured: Measured, format: MetricsFormat = 'prometheus'): Promise<string> {
  const known: Known = { ...measured, group: measured.daemon.group?.status() ?? null };
  const registry = new Registry<RegistryContentType>();
  registry.setContentType(CONTENT_TYPES[format]);
  for (const { name: own, type, help, samples } of METRICS) {
    // OpenMetrics names the family of a counter without what its samples end in.
    const name = format === 'openmetrics' && type === 'counter' ? own.replace(/_total$/, '') : own;
    const values = samples(known).map((sample) => ({ labels: {}, ...sample }));
    const metric = { name, get: async () => ({ name, type, help, values, aggregator: 'sum' }) };
    registry.registerMetric(metric as unknown as Metric);
  }
  return registry.metrics();
}
