/** kamailio(8), a proxy that stays in the call, with rtpengine(8) as a media relay on an address of its own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addressOf, relayAddress, type Topology } from '../../lab/topology.ts';
import { type Program, temporaryDirectory, watch } from './programs.ts';

const CONTROL = '127.0.0.1:2223';

/** Of kamailio.cfg(5), where it is not plain SIP over UDP. */
export interface ProxyOptions {
  /** Lines of its core: what it listens on beside UDP. */
  readonly core?: readonly string[];
  /** Lines that load further modules and set their parameters. */
  readonly modules?: readonly string[];
  /** MB that its processes share, and that each has of its own. */
  readonly memory?: { readonly shared: number; readonly own: number };
}

const CONFIG = (address: string, core: readonly string[], modules: readonly string[]) => `#!KAMAILIO
debug=1
log_stderror=yes
children=2
auto_aliases=no
${core.join('\n')}
listen=udp:${address}:5060
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "rtpengine.so"
modparam("rtpengine", "rtpengine_sock", "udp:${CONTROL}")
${modules.join('\n')}

request_route {
  if (!mf_process_maxfwd_header("10")) exit;
  if (is_method("CANCEL")) {
    if (t_check_trans()) t_relay();
    exit;
  }
  loose_route();
  if (is_method("INVITE")) {
    if (!has_totag()) record_route();
    t_on_reply("answered");
  }
  if (is_method("INVITE|BYE|ACK")) rtpengine_manage("replace-origin replace-session-connection");
  t_relay();
}

onreply_route[answered] {
  if (has_body("application/sdp")) rtpengine_manage("replace-origin replace-session-connection");
}
`;

/** Starts both on the server. */
export async function startProxy(
  topology: Topology,
  { core = ['disable_tcp=yes'], modules = [], memory = { shared: 32, own: 8 } }: ProxyOptions = {},
): Promise<readonly Program[]> {
  const directory = temporaryDirectory();
  const rtpengine = watch(
    topology.spawn(
      ...(['server', 'rtpengine', '--foreground', '--log-stderr', '--table=-1'] as const),
      ...[`--interface=${relayAddress()}`, `--listen-ng=${CONTROL}`, '--delete-delay=0', '--log-level=6'],
      ...['--port-min=30000', '--port-max=32000', '--num-threads=2', '--log-facility=local0'],
    ),
  );
  await rtpengine.said(/Startup complete/);
  const config = join(directory, 'kamailio.cfg');
  writeFileSync(config, CONFIG(addressOf('server'), core, modules));
  const kamailio = watch(
    topology.spawn(
      ...(['server', 'kamailio', '-f', config, '-DD', '-E'] as const),
      ...['-m', `${memory.shared}`, '-M', `${memory.own}`],
      ...['-Y', directory, '-w', directory, '-P', join(directory, 'kamailio.pid')],
    ),
  );
  return [kamailio, rtpengine];
}
