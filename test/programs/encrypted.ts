/** kamailio(8) that is reached over TLS alone and mirrors every message by HEP, with rtpengine(8) beside it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addressOf, relayAddress, type Topology } from '../../lab/topology.ts';
import { type Certificate, makeCertificate } from './certificate.ts';
import { type Program, temporaryDirectory, watch } from './programs.ts';

const CONTROL = '127.0.0.1:2223';
/** What kamailio's copies bear. */
export const PASSWORD = 'mirror me';
/** Where the firewall listens: its address towards the server. */
export const COLLECTOR = { address: '10.0.2.1', port: 9060 } as const;

const CONFIG = (address: string, { certificate, key }: Certificate) => `#!KAMAILIO
debug=1
log_stderror=yes
children=2
tcp_children=2
enable_tls=yes
auto_aliases=no
listen=tls:${address}:5061
listen=udp:${address}:5060
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "tls.so"
loadmodule "rtpengine.so"
loadmodule "siptrace.so"
modparam("tls", "certificate", "${certificate}")
modparam("tls", "private_key", "${key}")
modparam("tls", "cipher_list", "DEFAULT@SECLEVEL=0")
modparam("tls", "tls_method", "TLSv1+")
modparam("tls", "verify_certificate", 0)
modparam("tls", "require_certificate", 0)
modparam("rtpengine", "rtpengine_sock", "udp:${CONTROL}")
modparam("siptrace", "duplicate_uri", "sip:${COLLECTOR.address}:${COLLECTOR.port}")
modparam("siptrace", "hep_mode_on", 1)
modparam("siptrace", "hep_version", 3)
modparam("siptrace", "auth_key", "${PASSWORD}")
modparam("siptrace", "trace_to_database", 0)
modparam("siptrace", "trace_on", 1)
modparam("siptrace", "trace_mode", 1)

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
export async function startEncryptedProxy(topology: Topology): Promise<readonly Program[]> {
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
  writeFileSync(config, CONFIG(addressOf('server'), makeCertificate(addressOf('server'))));
  const kamailio = watch(
    topology.spawn(
      ...(['server', 'kamailio', '-f', config, '-DD', '-E', '-m', '64', '-M', '16'] as const),
      ...['-Y', directory, '-w', directory, '-P', join(directory, 'kamailio.pid')],
    ),
  );
  return [kamailio, rtpengine];
}
