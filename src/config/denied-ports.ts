import type { Written } from './kinds.ts';

/**
 * Ports from 1024 on which a pinhole would meet a service that trusts its network, with what listens there. Those of
 * the ranges that telephones and PBXs use for media as installed (10000 to 20000, 16384 to 32767, from 49152) are left
 * out: each would cost calls.
 */
export const DENIED_PORTS: readonly (readonly [ports: Written, service: string])[] = [
  [1194, 'OpenVPN'],
  ['1433-1434', 'Microsoft SQL Server and its browser'],
  [1521, 'Oracle Database'],
  [1701, 'L2TP'],
  ['1719-1720', 'H.323 registration and call signalling'],
  [1723, 'PPTP'],
  ['1812-1813', 'RADIUS'],
  [1883, 'MQTT'],
  [1900, 'SSDP: UPnP routers and media servers'],
  [2049, 'NFS'],
  ['2375-2376', 'Docker'],
  [3306, 'MySQL and MariaDB'],
  [3389, 'Remote Desktop, over TCP and UDP'],
  [3702, 'Web Services Discovery'],
  [4500, 'IPsec behind NAT'],
  ['5060-5061', 'SIP: signalling would pass unread'],
  [5353, 'multicast DNS'],
  [5355, 'LLMNR'],
  [5432, 'PostgreSQL'],
  [5683, 'CoAP'],
  ['5900-5903', 'VNC'],
  ['5985-5986', 'Windows Remote Management'],
  [6379, 'Redis'],
  [9100, 'printers'],
  [9200, 'Elasticsearch'],
];
