import { sharedWords } from '../own-copy.ts';

/**
 * What nearly every call says, once for all of them. From the packets' thread each text comes as one of its own, and a history
 * keeps it as long as the call.
 */
export const shared = sharedWords([
  ...['udp', 'tcp', 'in', 'out', 'rtp', 'rtcp', 'rtp+rtcp', 'audio', 'video', '0:0', '0:1', '1:0', '1:1'],
  ...'INVITE re-INVITE ACK BYE CANCEL OPTIONS PRACK UPDATE INFO REFER NOTIFY'.split(' '),
  ...['100 Trying', '180 Ringing', '183 Session Progress', '200 OK', '200 OK (BYE)', '200 OK (UPDATE)'],
  ...['401 Unauthorized', '407 Proxy Authentication Required', '486 Busy Here', '487 Request Terminated'],
  ...['calling', 'ringing', 'confirmed', 'terminating', 'ended'],
]);
