/** The proxy, reached over TLS and mirroring every message by HEP. */
import { addressOf, type Topology } from '../../lab/topology.ts';
import { makeCertificate } from './certificate.ts';
import type { Program } from './programs.ts';
import { startProxy } from './proxy.ts';

/** What kamailio's copies bear. */
export const PASSWORD = 'mirror me';
/** Where the firewall listens: its address towards the server. */
export const COLLECTOR = { address: '10.0.2.1', port: 9060 } as const;

/** As `startProxy`. */
export function startEncryptedProxy(topology: Topology): Promise<readonly Program[]> {
  const address = addressOf('server');
  const { certificate, key } = makeCertificate(address);
  return startProxy(topology, {
    core: ['tcp_children=2', 'enable_tls=yes', `listen=tls:${address}:5061`],
    modules: [
      'loadmodule "tls.so"',
      'loadmodule "siptrace.so"',
      `modparam("tls", "certificate", "${certificate}")`,
      `modparam("tls", "private_key", "${key}")`,
      'modparam("tls", "cipher_list", "DEFAULT@SECLEVEL=0")',
      'modparam("tls", "tls_method", "TLSv1+")',
      'modparam("tls", "verify_certificate", 0)',
      'modparam("tls", "require_certificate", 0)',
      `modparam("siptrace", "duplicate_uri", "sip:${COLLECTOR.address}:${COLLECTOR.port}")`,
      'modparam("siptrace", "hep_mode_on", 1)',
      'modparam("siptrace", "hep_version", 3)',
      `modparam("siptrace", "auth_key", "${PASSWORD}")`,
      'modparam("siptrace", "trace_to_database", 0)',
      'modparam("siptrace", "trace_on", 1)',
      'modparam("siptrace", "trace_mode", 1)',
    ],
    memory: { shared: 64, own: 16 },
  });
}
