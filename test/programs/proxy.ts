/** kamailio(8), a proxy that stays in the call, with rtpengine(8) as a media relay on an address of its own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addressOf, relayAddress, type Topology } from '../../lab/topology.ts';
import { type Program, temporaryDirectory, watch } from './programs.ts';

const CONTROL = '127.0.0.1:2223';

const CONFIG = (address: string) => `#!KAMAILIO
debug=1
log_stderror=yes
children=2
disable_tcp=yes
auto_aliases=no
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
export async function startProxy(topology: Topology): Promise<readonly Program[]> {
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
  writeFileSync(config, CONFIG(addressOf('server')));
  const kamailio = watch(
    topology.spawn(
      ...(['server', 'kamailio', '-f', config, '-DD', '-E', '-m', '32', '-M', '8'] as const),
      ...['-Y', directory, '-w', directory, '-P', join(directory, 'kamailio.pid')],
    ),
  );
  return [kamailio, rtpengine];
}
