import type { Network } from '../address/network.ts';
import type { Peer } from '../address/peer.ts';
import type { PortRange } from '../address/ports.ts';
import { PRIVATE_RANGES } from '../address/private.ts';
import type { StaticMedia } from '../address/static-media.ts';
import { DENIED_PORTS } from './denied-ports.ts';
import {
  anchorPath,
  choice,
  duration,
  fileMode,
  flag,
  hostName,
  integer,
  interfaceName,
  type Kind,
  type ListKind,
  listenAddress,
  listOf,
  logDestination,
  loopbackAddress,
  mark,
  name,
  network,
  orOff,
  overlap,
  path,
  port,
  portRange,
  reloadLock,
  size,
  storeUrl,
  type Written,
} from './kinds.ts';
import { type NatSettings, nat, type UplinkSettings, uplinks } from './nat.ts';
import { peers } from './peers.ts';
import type { RecordsKind } from './records.ts';
import { staticMedia } from './static-media.ts';

export type { LogDestination } from './kinds.ts';

/** When a changed value takes effect: at the next reload (SIGHUP), for what is decided from then on, or at a restart. */
export type Reload = 'reload' | 'restart';

/** Where hier(7) and file-hierarchy(7) differ. */
interface BySystem {
  readonly freebsd: Written;
  readonly linux: Written;
}

/** One setting. `initial` is the default as it would be written in a file. */
interface Setting<T> {
  readonly node: 'setting';
  readonly kind: Kind<T>;
  readonly initial: Written | BySystem;
  /** A sentence or two, for documents. Backquotes mark what is written as it stands. */
  readonly about: string;
  readonly reload: Reload;
}

/** A setting whose value is a list. */
interface ListSetting<T> {
  readonly node: 'list';
  readonly kind: ListKind<T>;
  readonly initial: readonly Written[];
  readonly about: string;
  readonly reload: Reload;
}

/** A setting whose value is a list of mappings. It is empty by default. */
interface RecordsSetting<Item> {
  readonly node: 'records';
  readonly kind: RecordsKind<Item>;
  readonly initial: readonly [];
  readonly about: string;
  readonly reload: Reload;
}

interface SettingsSection<Entries> {
  readonly node: 'section';
  readonly about: string;
  readonly entries: Entries;
}

type ValuesOf<Entries> = {
  readonly [Key in keyof Entries]: Entries[Key] extends Setting<infer T>
    ? T
    : Entries[Key] extends ListSetting<infer T>
      ? readonly T[]
      : Entries[Key] extends RecordsSetting<infer Item>
        ? readonly Item[]
        : Entries[Key] extends SettingsSection<infer Inner>
          ? ValuesOf<Inner>
          : never;
};

function setting<T>(
  kind: Kind<T>,
  initial: Written | BySystem,
  about: string,
  reload: Reload = 'reload',
): Setting<T> {
  return { node: 'setting', kind, initial, about, reload };
}

function list<T>(
  kind: ListKind<T>,
  initial: readonly Written[],
  about: string,
  reload: Reload = 'reload',
): ListSetting<T> {
  return { node: 'list', kind, initial, about, reload };
}

function records<Item>(
  kind: RecordsKind<Item>,
  about: string,
  reload: Reload = 'reload',
): RecordsSetting<Item> {
  return { node: 'records', kind, initial: [], about, reload };
}

function section<Entries>(about: string, entries: Entries): SettingsSection<Entries> {
  return { node: 'section', about, entries };
}

const networks = (least: number) => listOf<Network>(network, 'a list of networks', least);
const portRanges = (least: number) =>
  listOf<PortRange>(portRange, 'a list of ports and port ranges', least, overlap);

/**
 * Every setting there is. Validation, defaults, the `Settings` type, `pinholed config --print`,
 * docs/configuration.md and pinholed.yaml(5) all follow from this table. Keys are camelCase here and kebab-case
 * in the file; durations are milliseconds, sizes are bytes.
 */
export const schema = {
  inside: list(
    networks(1),
    PRIVATE_RANGES,
    'The networks whose hosts may have pinholes opened towards themselves; what any other host announces opens ' +
      'nothing. Add the public addresses of your own hosts, which for IPv6 is usually your prefix. ' +
      '`100.64.0.0/10` is left out on purpose: behind carrier-grade NAT it is the outside.',
  ),
  insideInterfaces: list(
    listOf(interfaceName, 'a list of interface names'),
    [],
    'The interfaces that packets of inside hosts come in through, those of VPNs included. An inside address on a ' +
      'packet from any other is forged and opens nothing. An empty list: the routes of this machine say which they ' +
      'are. Interfaces and routes are looked at again all the time.',
  ),
  mediaHosts: list(
    networks(0),
    [],
    'Hosts that an inside host may name in its SDP in place of itself: media gateways, relays, ' +
      'phones behind a PBX that lets media go direct. They need not be inside.',
  ),
  peers: records<Peer>(
    peers,
    'Outside parties with whom calls may open pinholes: your SIP provider, your SBC. An empty list means all. A ' +
      'network alone admits its addresses; a mapping with a name also makes them one party, with settings of its ' +
      'own. To name a peer and admit everybody, add `0.0.0.0/0` and `::/0`.',
  ),
  mediaPorts: list(
    portRanges(1),
    ['1024-65535'],
    'Destination ports that a pinhole may open. Narrow it to the range that your PBX and phones use.',
  ),
  deniedPorts: list(
    portRanges(0),
    DENIED_PORTS.map(([ports]) => ports),
    'Ports inside `media-ports` that never open: services that an SDP could be made to name, each with its reason in ' +
      'docs/configuration.md. Those of `sip-ports` have to be among them.',
  ),
  sipPorts: list(
    portRanges(1),
    [5060],
    'Ports on which signalling is handed to the daemon, for the rules that `pinholed rules` prints and that ' +
      '`fail: open` loads. The daemon itself reads whatever the packet filter hands it.',
    'restart',
  ),
  earlyMediaSource: setting(
    choice('signalling-peer', 'any'),
    'signalling-peer',
    'Who may send media to an offered port before the answer names an address: the peer that the signalling ' +
      'goes to, or anybody.',
  ),
  mediaSource: setting(
    choice('exact', 'signalling-peer', 'any'),
    'exact',
    'Who may send media once there is an answer. `exact` is the address the peer announced and its signalling ' +
      'address, `signalling-peer` the latter alone.',
  ),
  symmetric: setting(
    flag,
    false,
    'Also pin the source port to the port that the peer announced. RFC 3264 lets a peer send from any port, ' +
      'so this breaks some.',
  ),
  ice: setting(
    flag,
    true,
    'Open the ICE candidates of a description that are the host itself (or a media host), too.',
  ),
  tcpMedia: setting(
    flag,
    false,
    'Open pinholes for media over TCP (RFC 4145: MSRP, BFCP, T.38 over TCP) towards the passive side.',
  ),
  strict: setting(
    flag,
    false,
    'Drop what arrives as SIP but cannot be read as SIP. Otherwise it passes and opens nothing.',
  ),
  nat: records<NatSettings>(
    nat,
    'External addresses and the inside hosts that they stand for: a PBX behind NAT that announces its public address. ' +
      'Such a host has announced itself, and media-hosts may be named in the same way. docs/nat.md shows the usual set-ups.',
  ),
  uplinks: records<UplinkSettings>(
    uplinks,
    'Where there is more than one way out: what comes in by one of these interfaces is answered by it (`reply-to`; FreeBSD).',
    'restart',
  ),
  outbound: setting(
    flag,
    false,
    'Also open the way out to what an outside party announces, for the inside party of that call alone: for firewalls ' +
      'that let inside hosts send only what is allowed.',
  ),
  peersStore: section(
    'A Valkey or Redis store in which firewalls share their calls: each holds the pinholes of all. docs/cluster.md.',
    {
      url: setting(
        orOff(storeUrl),
        'off',
        'Where it is: `redis://10.9.0.1:6379`, or `rediss://` for TLS, with a user before `@` where it asks for one.',
        'restart',
      ),
      others: list(
        listOf(storeUrl, 'a list of URLs of stores'),
        [],
        'Further servers of the same store, or nodes of the same cluster, or Sentinels. They are tried after `url`, and the ' +
          'first that is the primary, or knows it, is used.',
        'restart',
      ),
      sentinel: setting(
        orOff(name('a name', 64)),
        'off',
        '`url` and `others` are Sentinels, and this is what they call the primary.',
        'restart',
      ),
      name: setting(
        orOff(name('a name', 32)),
        'off',
        'What this firewall is called among them; `off` is the name of the host.',
        'restart',
      ),
      group: setting(
        name('a group name', 32),
        'pinholed',
        'Firewalls of one group share all their calls, and nothing with those of another.',
        'restart',
      ),
      passwordFile: setting(
        orOff(path),
        'off',
        'File whose first line is the password of the store. Nobody but root and the group of the file may read it.',
        'restart',
      ),
      tls: section('With `rediss://`: PEM files, read at the start.', {
        caFile: setting(
          orOff(path),
          'off',
          'Authorities that the certificate of the store may be from; `off`: those of the system.',
          'restart',
        ),
        certificateFile: setting(orOff(path), 'off', 'Certificate of this firewall.', 'restart'),
        keyFile: setting(orOff(path), 'off', 'Its private key, readable by its owner alone.', 'restart'),
        serverName: setting(
          orOff(hostName),
          'off',
          'Name that the certificate is to have; `off`: that of the URL.',
          'restart',
        ),
      }),
      confirm: setting(
        choice('none', 'peers'),
        'none',
        '`peers`: a message that opens pinholes waits until every other firewall of the group has them, for ' +
          'networks in which signalling and media take different ones. Others are not held up.',
      ),
      confirmTimeout: setting(
        duration('1ms', '10s'),
        '20ms',
        'How long it waits at most; then it goes on and is counted. SIP over UDP is sent again after half a second.',
      ),
    },
  ),
  mode: setting(
    choice('enforce', 'observe'),
    'enforce',
    '`observe`: packets are read, calls followed, and everything is told as usual, but not one pinhole is opened: the ' +
      'log says which would be. For trying out beside the rules there are now. Media is not counted, so that no ' +
      'call ends for want of it.',
    'restart',
  ),
  intercept: setting(
    choice('inline', 'bpf'),
    'inline',
    '`inline`: a packet waits until its pinholes are open. `bpf`: copies of what passes by are read, and nothing waits, ' +
      'so that media can come before its pinhole: for trying out, and to compare. By bpf(4) on FreeBSD, where it takes ' +
      '`inside-interfaces`, and by a packet socket on Linux; not with `strict`, `fail: open`, `on-firewall-error: drop` or ' +
      '`hold-encrypted`, which hold packets. SIP that comes in is read before your ruleset has looked at it.',
    'restart',
  ),
  fail: setting(
    choice('closed', 'open'),
    'closed',
    'What becomes of signalling while the daemon is down. `closed`: the rules that hand it over are yours, and the ' +
      'packet filter drops what nobody takes. `open`: the daemon loads those rules itself and its supervisor ' +
      'removes them when the daemon is gone, so that signalling passes unread and new calls get no pinholes. ' +
      'On Linux the daemon loads none: the `bypass` flag of your queue rule does it. ' +
      'Media of calls that are up goes on in both cases.',
    'restart',
  ),
  onFirewallError: setting(
    choice('pass', 'drop'),
    'pass',
    'What becomes of a packet whose pinholes the packet filter refused to open: it passes without them, or it is ' +
      'dropped and the sender tries again.',
  ),
  platform: setting(
    choice('auto', 'freebsd', 'linux'),
    'auto',
    'divert(4) and pf, or NFQUEUE and nftables. `auto` is the system the daemon runs on.',
    'restart',
  ),
  metrics: setting(
    orOff(listenAddress),
    'off',
    'Address for Prometheus to read metrics from over HTTP, such as `127.0.0.1:9477`. There is no password.',
  ),
  metricsHosts: list(
    listOf(hostName, 'a list of host names'),
    [],
    'Names under which metrics may be asked for, beside addresses, `localhost` and the name of this machine. A request ' +
      'under any other name is refused, since a page of any site can have a name of its own point here.',
  ),
  web: setting(
    orOff(loopbackAddress),
    'off',
    'Address of the live page, such as `127.0.0.1:8480`; loopback only, and read only.',
  ),
  hep: section(
    'Copies of SIP that cannot be read on the wire (TLS, WebSocket): PBXs and proxies mirror, by HEP, what they send and ' +
      'receive. docs/encrypted.md has the settings of each.',
    {
      listen: setting(
        orOff(listenAddress),
        'off',
        'Address that copies are sent to, such as `192.168.1.1:9060`: one of this machine that is inside, or loopback.',
        'restart',
      ),
      from: list(
        networks(0),
        [],
        'Hosts that may send copies. What they announce themselves opens pinholes towards them, as if it had crossed the ' +
          'firewall in clear. Copies from anybody else are refused.',
      ),
      speaksFor: list(
        networks(0),
        [],
        'Inside hosts that they may speak for, beside themselves: a proxy for the PBX behind it, a PBX for its telephones.',
      ),
      passwordFile: setting(
        orOff(path),
        'off',
        'File whose first line each copy has to bear as its key. Nobody but root and the group of the file may read it. ' +
          'Without one the address of the sender is all that a copy is judged by.',
        'restart',
      ),
      transports: list(
        { ...listOf(choice('udp', 'tcp'), 'a list of udp and tcp', 1), most: 2 },
        ['udp'],
        'What copies are listened for on.',
        'restart',
      ),
      send: setting(
        orOff(listenAddress),
        'off',
        'Where everything that is inspected is mirrored to, over UDP, such as the address of a Homer: `192.168.1.30:9060`. ' +
          'Pinholes and refusals of calls go there as log lines. The key is that of `password-file`, where there is one.',
        'restart',
      ),
      maxAge: setting(
        duration('1s', '1m'),
        '5s',
        'A copy of a message that was sent longer ago, or lies ahead of our clock by so much, opens nothing.',
      ),
      messagesPerSecond: setting(
        integer(10, 100_000),
        5_000,
        'Copies a second from one host; those beyond are refused.',
      ),
    },
  ),
  holdEncrypted: setting(
    orOff(duration('1ms', '100ms')),
    'off',
    'How long an encrypted packet of a host that mirrors by HEP waits for the copy of what it carries, where its port is ' +
      'among `sip-ports`: such as `5ms`. Without it the copy and the packet race, and first media may be lost. No other ' +
      'packet waits.',
  ),
  staticMedia: records<StaticMedia>(
    staticMedia,
    'Peers whose signalling cannot be read by anyone here: ports that are open to an address of theirs while it has a TLS ' +
      'connection with an inside host, or a registration, and to nobody else. Wider than what SIP would have said: where ' +
      'the PBX can mirror it, take `hep`. An entry that a reload takes out closes. docs/encrypted.md.',
  ),
  caps: section('Bounds on what calls may use. Past a bound signalling still passes, but opens nothing.', {
    calls: setting(
      integer(1, 1_000_000),
      10_000,
      'Calls at a time. An inside host that has as many as there are places left gets no more of them, ' +
        'so that there is room for others.',
    ),
    callsPerHost: setting(
      integer(1, 1_000_000),
      4_000,
      'Calls at a time for one inside host: 1,000 of a PBX, each with a leg to either side, and as many again. Its ' +
        'places are shared in the same way among the outside addresses (for IPv6 a /64) it has calls with; a ' +
        'named peer gets what it asks for.',
    ),
    unanswered: setting(
      integer(10, 1_000_000),
      5_000,
      'Calls from outside that wait for a first answer other than 100. They take no place of the calls above. ' +
        'Past it the oldest call of the address that has most is given up; should it be answered, it goes on. Each named ' +
        'peer has as many of its own.',
    ),
    unansweredBytes: setting(
      size('1m', '1g'),
      '8m',
      'Session descriptions that are kept for them, in bytes as they came; in memory it is about ten times as much.',
    ),
    ended: setting(
      integer(100, 1_000_000),
      10_000,
      'Calls that are over and still known, for `timers.retransmission-memory`, in memory and in the journal. Past it the ' +
        'oldest is forgotten.',
    ),
    backlog: setting(
      integer(1_000, 1_000_000),
      50_000,
      'What the data path keeps for the thread that writes journal and log and removes states, while that is busy: calls that ' +
        'began and ended meanwhile, and closed pinholes. Past it the oldest is left out and counted; the states of such a ' +
        'pinhole stay until they are idle.',
    ),
    offersPerSecond: setting(
      integer(1, 100_000),
      500,
      'Offers a second from one inside host. What an outside party offers opens nothing and is not counted.',
    ),
    pinholesPerCall: setting(integer(1, 1024), 64, 'Pinholes of one call.'),
    staticPorts: setting(
      integer(1, 100_000),
      32_768,
      'Ports that `static-media` may have open at a time, each counted for each of its hosts and for each address that may ' +
        'send. On Linux each is an element of a set, and the data path stands still while those of a peer are opened: 4 ms ' +
        'for 1,000 of them, 80 ms for 10,000; with a translation of their own 13 and 420 ms.',
    ),
    streams: setting(
      integer(1, 256),
      32,
      'Streams, one for each `m=` line, that are read in one description.',
    ),
    sources: setting(
      integer(2, 64),
      32,
      'Addresses from which one stream may be reached: the signalling peer, the address that it announced, then its ' +
        'candidates, those of all forks together.',
    ),
    candidates: setting(
      integer(0, 64),
      24,
      'ICE candidates over UDP, at an IP address, that are read in one stream; those over TCP do not count.',
    ),
    headers: setting(integer(16, 4096), 256, 'Header fields of one message.'),
    messageBytes: setting(size('2k', '1m'), '64k', 'Size of one SIP message.'),
    tcpConnections: setting(integer(1, 1_000_000), 10_000, 'TCP connections whose streams are followed.'),
    reassemblyBytes: setting(
      size('1m', '4g'),
      '64m',
      'Memory for messages and IP packets that are not complete yet, all together.',
    ),
    history: setting(integer(0, 1_000_000), 1000, 'Ended calls that `pinholed explain` remembers.'),
  }),
  timers: section(
    'Deadlines: `500ms`, `32s`, `3m`, `12h`, `1d`, or a bare number of seconds. Their sources are in docs/timers.md.',
    {
      offer: setting(
        duration('8s', '3m'),
        '32s',
        'An offer that gets no response at all is forgotten after this time. Answered later, and acknowledged, an ' +
          'INVITE of a host inside has its media all the same.',
      ),
      ringing: setting(
        duration('30s', '10m'),
        '3m',
        'A call that rings is given up after this time; each provisional response starts it anew, and early media that flows ' +
          'outlasts it. Answered within ten times as long after that, and acknowledged, it has its media.',
      ),
      earlyAny: setting(
        duration('10s', '1h'),
        '3m',
        'With `early-media-source: any` everybody may send to an offered port for so long; while the call goes on ringing, ' +
          'it is the signalling peer alone.',
      ),
      ack: setting(
        duration('8s', '3m'),
        '32s',
        'A 2xx without its ACK is reported after this time. Its call is kept where no ACK of its caller has come past here; else, ' +
          'after a CANCEL, and where the answer came after the call was given up, it closes.',
      ),
      mediaIdle: setting(
        duration('30s', '1h'),
        '5m',
        'Pinholes of a call whose media is silent close after this time.',
      ),
      holdIdle: setting(duration('5m', '12h'), '2h', 'The same for a call on hold.'),
      oneWay: setting(
        duration('10m', '12h'),
        '4h',
        'Pinholes of a call close when its party inside has given no sign of life for this time, whatever the other ' +
          'party sends: neither media or RTCP nor SIP of its own. Where the packet filter does not tell who sends (pf ' +
          'before FreeBSD 14 or with over 100,000 states, Linux without `net.netfilter.nf_conntrack_acct`), it is ' +
          '`timers.max-call` at least.',
      ),
      noAudio: setting(
        duration('5s', '1h', 'never'),
        '10s',
        'A call that is up, whose parties agreed on audio and have had none in one direction or in either for this time, is ' +
          'reported: in the log, `pinholed calls`, `top` and `explain`, on the live page and in the metrics. It stays as it is. ' +
          'A call on hold, and what one side only sends or only receives by its SDP, is not missed.',
      ),
      staticIdle: setting(
        duration('1m', '1d'),
        '1h',
        'Ports of `static-media` close when the inside host has sent nothing on the connection of their peer for this time, ' +
          'not even an acknowledgement, and nobody talks through them.',
      ),
      sessionGrace: setting(
        duration('1s', '10m'),
        '32s',
        'How long after its session timer (RFC 4028) ran out a call is kept.',
      ),
      sessionFloor: setting(duration('30s', '1h'), '90s', 'A shorter Session-Expires counts as this.'),
      maxCall: setting(
        duration('1m', '30d', 'no limit'),
        '12h',
        'A call ends for the daemon after this time, as soon as no media flows in it any more.',
      ),
      afterBye: setting(
        duration('1s', '3m'),
        '32s',
        'Pinholes close on the final response to a BYE, or this long after a BYE that gets none.',
      ),
      afterCancel: setting(
        duration('1s', '3m'),
        '32s',
        'The same for a CANCEL and the final response to its INVITE.',
      ),
      drain: setting(
        duration('100ms', '10s', 'none'),
        '1s',
        'Media still under way may pass this long after the end of a call.',
      ),
      oldPort: setting(
        duration('1s', '10m'),
        '1m',
        'After a change of port the old pinhole stays until media arrives on the new one, at most this long.',
      ),
      forks: setting(
        duration('1s', '3m'),
        '32s',
        'Pinholes of the other early dialogs stay this long after the first 2xx.',
      ),
      iceUnused: setting(
        duration('10s', '10m'),
        '1m',
        'Candidates that carry no traffic close this long after the answer.',
      ),
      muxGrace: setting(
        duration('100ms', '1m', 'none'),
        '1s',
        'The separate RTCP pinhole stays this long after both sides agreed on rtcp-mux.',
      ),
      tcpPartial: setting(
        duration('1s', '5m'),
        '30s',
        'A message that stays incomplete on a TCP stream is forgotten after this time; its bytes have passed.',
      ),
      retransmissionMemory: setting(
        duration('32s', '3m'),
        '40s',
        'How long a message is known again when it is sent once more.',
      ),
      firewallRetry: setting(
        duration('1ms', '1s', 'no retry'),
        '50ms',
        'How long a packet is held while a busy packet filter is asked again, before `on-firewall-error` decides.',
      ),
    },
  ),
  freebsd: section('Read on FreeBSD, pfSense and OPNsense only.', {
    divertPort: setting(
      port,
      8668,
      'The divert(4) port of the rules that hand SIP to the daemon.',
      'restart',
    ),
    insideInterfaces: list(
      listOf(interfaceName, 'a list of interface names'),
      [],
      'Interfaces towards the inside hosts, where the divert rules stand, in both directions. `pinholed rules` ' +
        'prints rules for them; `fail: open` needs them. An empty list: those of the other `inside-interfaces`.',
      'restart',
    ),
    anchor: setting(anchorPath, 'pinholed', 'The pf anchor that belongs to the daemon.', 'restart'),
    rdrAnchor: setting(
      anchorPath,
      'pinholed',
      'Its rdr-anchor, for `nat` mappings with `translation: pinhole`: packets to the external address.',
      'restart',
    ),
    binatAnchor: setting(
      anchorPath,
      'pinholed',
      'Its binat-anchor, for the same: packets from the inside hosts.',
      'restart',
    ),
    reloadLock: setting(
      reloadLock,
      'auto',
      'The file that the firewall locks while it loads its ruleset; meanwhile the daemon asks for nothing that would ' +
        'make the load fail. A packet waits at most 300 ms for it, then the failure policy applies. `auto`: `/tmp/filter.lock` ' +
        'on pfSense, `/tmp/rules.debug` on OPNsense.',
      'restart',
    ),
    shards: setting(
      integer(1, 256),
      64,
      'Anchors under it among which the pinholes are divided by port. FreeBSD 15 has 512 anchors in all ' +
        '(`set limit anchors`).',
      'restart',
    ),
    log: setting(
      choice('off', 'first', 'all'),
      'off',
      'The `log` flag of pinhole rules: none, `log` (the packet that makes the state) or `log (all)`.',
    ),
    tag: setting(
      orOff(name('a tag', 63)),
      'off',
      'Tag for packets that match a pinhole. The rules are then not quick, so that a later rule decides, as ' +
        'with ftp-proxy(8) -T.',
    ),
    queue: setting(orOff(name('a queue name', 63)), 'off', 'ALTQ queue for media, as with ftp-proxy(8) -q.'),
    statesPerRule: setting(
      integer(1, 65_535),
      64,
      'States that one pinhole rule may have (`max`). Each takes one packet with a source port of its own, forged or ' +
        'not: few are used up by a handful of forged packets, and the media that comes after them is lost; many let ' +
        'whoever forges the address of a party fill the state table.',
    ),
    udpFirst: setting(duration('1s', '1h'), '1m', 'State timeout `udp.first` of pinhole rules.'),
    udpSingle: setting(duration('1s', '1h'), '30s', 'State timeout `udp.single` of pinhole rules.'),
    udpMultiple: setting(duration('1s', '1h'), '1m', 'State timeout `udp.multiple` of pinhole rules.'),
    anyRelease: setting(
      flag,
      false,
      'Start on a release where pf is known to send diverted packets round in a loop (before 14.1), too.',
      'restart',
    ),
  }),
  linux: section('Read on Linux only.', {
    queue: setting(
      integer(0, 65535, 'a queue number'),
      0,
      'The NFQUEUE number of the rule that hands SIP to the daemon.',
      'restart',
    ),
    queueLength: setting(
      integer(64, 1_000_000),
      8192,
      'Packets that the kernel keeps in the queue before it drops.',
      'restart',
    ),
    mark: setting(
      mark,
      '0x700000',
      'Bits set in the mark of packets that match a pinhole; your ruleset accepts them.',
      'restart',
    ),
    table: setting(
      name('a table name', 32),
      'pinholed',
      'The nftables table (family `inet`) that belongs to the daemon.',
      'restart',
    ),
  }),
  blocked: section(
    'Media that your ruleset drops near a call, as a rule that logs it tells: who sends from where, and what would let it pass. ' +
      '`pinholed blocked` and `explain` show it. By pflog(4) on FreeBSD, by NFLOG on Linux; `pinholed rules` has the line.',
    {
      watch: setting(flag, false, 'Whether it is looked at.', 'restart'),
      interface: setting(
        name('an interface name', 15),
        'pflog0',
        'FreeBSD: the interface of pflog(4) that has what rules with `log` drop.',
        'restart',
      ),
      group: setting(
        integer(0, 65_535, 'an NFLOG group'),
        5060,
        'Linux: the group of the rule that logs what is dropped.',
        'restart',
      ),
      rate: setting(
        integer(1, 1000),
        20,
        'Packets a second, all together, that the daemon looks at; on Linux also the rate of the rule that logs.',
      ),
    },
  ),
  daemon: section('The process.', {
    user: setting(
      name('a user name', 32),
      '_pinholed',
      'User that reads packets once all is opened.',
      'restart',
    ),
    group: setting(name('a group name', 32), '_pinholed', 'Its group.', 'restart'),
    chroot: setting(orOff(path), 'off', 'Directory to change root to once all is opened.', 'restart'),
    pidFile: setting(
      orOff(path),
      { freebsd: '/var/run/pinholed.pid', linux: '/run/pinholed/pinholed.pid' },
      'File for the process id of the supervisor.',
      'restart',
    ),
    priority: setting(
      choice('high', 'normal', 'realtime'),
      'high',
      'How the thread that carries packets is scheduled, where the system allows it; the log and `status` say so. `high`: nice ' +
        '-10, on FreeBSD of the whole process, on Linux from 6.12 on with slices of 0.1 ms. `realtime`: SCHED_FIFO, on FreeBSD ' +
        'rtprio; a flood of SIP then takes a core for itself.',
      'restart',
    ),
    onStop: setting(
      choice('keep', 'drop'),
      'keep',
      'What a stop in good order leaves. `keep`: rules and journal, so that calls go on and the next start takes them ' +
        'up; the rules stay until then. `drop`: nothing; every pinhole is closed.',
      'restart',
    ),
    journal: setting(
      orOff(path),
      { freebsd: '/var/db/pinholed/journal', linux: '/var/lib/pinholed/journal' },
      'File from which calls and pinholes are taken up again after a restart.',
      'restart',
    ),
    recording: setting(
      orOff(size('256k', '1g')),
      '8m',
      'Memory for the messages of the latest calls, which `pinholed explain --pcap` writes into a capture, without credentials ' +
        'and keys. `off` keeps none, and the option is refused.',
      'restart',
    ),
  }),
  control: section('The socket on which `pinholed status` and the other commands ask the daemon.', {
    socket: setting(
      path,
      { freebsd: '/var/run/pinholed.sock', linux: '/run/pinholed/pinholed.sock' },
      'Path of the Unix socket.',
      'restart',
    ),
    group: setting(orOff(name('a group name', 32)), 'off', 'Group that owns the socket.', 'restart'),
    mode: setting(fileMode, '0600', 'Its mode; `0660` admits the group.', 'restart'),
  }),
  log: section('What is told, and where.', {
    level: setting(
      choice('error', 'warn', 'info', 'debug', 'trace'),
      'info',
      '`info` has one line when pinholes of a call open and one when they close.',
    ),
    format: setting(choice('text', 'json'), 'text', 'One line of text, or of JSON, for each event.'),
    destination: setting(
      logDestination,
      'stderr',
      'Where to: standard error, syslog (facility `daemon`) or a file.',
      'restart',
    ),
    calls: setting(
      orOff(path),
      'off',
      'File of call records: a line of JSON for each call that is over, with its parties, times, pinholes, packets each way ' +
        'and the reason of its end. A reload opens it anew.',
      'restart',
    ),
    callId: setting(
      choice('hashed', 'plain'),
      'hashed',
      'Whether a Call-ID is written as it is or as a hash; it often holds a host name or a number.',
    ),
    parties: setting(
      choice('hidden', 'plain'),
      'hidden',
      'Whether lines about a call, and exemplars of metrics, say who calls whom. Where a bound is used up the log says it anyway, ' +
        'and call records always do.',
    ),
    rate: setting(
      integer(1, 100_000),
      50,
      'Lines a second, refusals in the first three quarters of them; past it, a line tells how many were left out.',
    ),
  }),
};

/** The settings as the daemon uses them: durations in milliseconds, sizes in bytes, `off` as null, no time limit as 0. */
export type Settings = ValuesOf<typeof schema>;

/** Any entry of the table, for code that walks it. */
export type Leaf = Setting<unknown> | ListSetting<unknown> | RecordsSetting<unknown>;
export type SchemaNode = Leaf | SettingsSection<Entries>;
export type Entries = { readonly [key: string]: SchemaNode };

/** The table as the walkers see it. */
export const entries: Entries = schema;

/** `mediaHosts` to `media-hosts`. */
export function kebab(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Every setting by its name in a file: `inside`, `timers.no-audio`. */
export function settingNames(nodes: Entries = entries): string[] {
  return Object.entries(nodes).flatMap(([key, node]) =>
    node.node === 'section'
      ? settingNames(node.entries).map((name) => `${kebab(key)}.${name}`)
      : [kebab(key)],
  );
}

/** The settings of a daemon without a configuration file. A fresh object on every call. */
export function defaults(system = process.platform): Settings {
  return initialValues(entries, system) as unknown as Settings;
}

function initialValues(nodes: Entries, system: NodeJS.Platform): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(nodes).map(([key, node]) => [key, initialValue(key, node, system)]),
  );
}

/** The default of a setting, a list or a whole section. */
export function initialValue(key: string, node: SchemaNode, system = process.platform): unknown {
  if (node.node === 'section') return initialValues(node.entries, system);
  if (node.node === 'records') return [];
  if (node.node === 'list') return node.initial.map((written) => readInitial(key, node.kind.item, written));
  return readInitial(key, node.kind, initialOn(node.initial, system));
}

/** A default as a file of that system would have it. */
export function initialOn(initial: Written | BySystem, system: NodeJS.Platform): Written {
  if (typeof initial !== 'object') return initial;
  return system === 'freebsd' ? initial.freebsd : initial.linux;
}

function readInitial(key: string, kind: Kind<unknown>, written: Written): unknown {
  const reading = kind.read({ value: written, text: String(written) });
  if (reading.ok) return reading.value;
  throw new RangeError(`default of ${key}: expected ${reading.expected}, found ${written}`);
}
