/**
 * Every reason for which something gets no pinhole: one closed list. `means` is what was seen, `advice` what
 * the reader can do about it. docs/refusals.md is made from it.
 */
export const REFUSALS = {
  'malformed-sip': {
    means: 'The packet looks like SIP but cannot be read as a SIP message.',
    advice: 'Look at the detail: it names the header. Report it to the maker of the sending device.',
  },
  'packet-cut': {
    means:
      'The end of the packet is missing: the capture kept only its beginning (snap length), or it was cut on the way.',
    advice: 'Capture whole packets: tcpdump -s 0.',
  },
  'conflicting-header': {
    means:
      'A header that may stand once (Call-ID, CSeq, From, To, Content-Length) stands twice with different values.',
    advice:
      'Two readers would take two different calls from it. Find out which device writes it; it may be an attack.',
  },
  'message-too-large': {
    means: 'The message, its headers or their number exceed the caps of the configuration.',
    advice: 'Raise caps.message-bytes or caps.headers if the sender is honest.',
  },
  'stream-unusable': {
    means:
      'The TCP stream cannot be read any more, or not for a while: bytes were lost, two copies of a segment differed, or SIP over ' +
      'WebSocket is compressed.',
    advice:
      'Calls on a new connection work again. Streams of peers with a name heal at the next message. Differing copies are an attack; look for its source. Compression (permessage-deflate) is for the proxy to switch off.',
  },
  'older-connection': {
    means:
      'SIP on a TCP connection that was up before the daemon, whose beginning it has not seen: it may be part of something else.',
    advice:
      'End the connection, so that it is made anew: on FreeBSD `pfctl -k HOST` with the inside host, on Linux `ss -K dst PEER` on that host. Those of peers with a name, and those that the journal knows, are read on.',
  },
  'stream-evicted': {
    means: 'A TCP connection that was read made room for others: there are more than caps.tcp-connections.',
    advice:
      'Its next message is looked for. Raise caps.tcp-connections, or find out who opens so many connections.',
  },
  'encoded-body': {
    means: 'The body is compressed or encrypted (Content-Encoding, S/MIME).',
    advice: 'Switch body encoding off at the sender; a firewall cannot read it.',
  },
  'malformed-body': {
    means:
      'A multipart body has no usable boundary or is nested too deeply, or the description stands behind Content-Length.',
    advice: 'Report it to the maker of the sending device.',
  },
  'several-sdp': {
    means: 'The message carries more than one session description.',
    advice: 'Exactly one may stand there (RFC 3261 13.2.1). Report it to the maker of the sending device.',
  },
  'malformed-sdp': {
    means: 'The session description cannot be read.',
    advice: 'Look at the detail: it names the line. Report it to the maker of the sending device.',
  },
  'spoofed-inside': {
    means: "It bears an inside host's address and did not come in through an interface that leads there.",
    advice:
      'Somebody outside forges addresses: let the packet filter drop such packets (`pinholed rules` has the lines). If the host is yours, name the interface in `inside-interfaces`, or give its network a route.',
  },
  'unknown-interface': {
    means: 'It bears the addresses of two inside hosts, and which interface it came in through is not known.',
    advice:
      'An interface that has just appeared is looked at within a second, and SIP is sent again. Where it goes on, the log says why interfaces and routes cannot be looked at.',
  },
  'response-without-request': {
    means: 'A response answers no request that was seen from the other side.',
    advice:
      'Harmless right after a restart. Otherwise the request took another path: let both directions pass here.',
  },
  'wrong-dialog': {
    means: 'The Call-ID is known, but the tags or the sending host do not belong to the dialog.',
    advice: 'Either a forged message, or requests that bypass the proxy: let the whole dialog take one path.',
  },
  'late-fork': {
    means:
      'A response to an INVITE came with a new To tag, later than timers.forks after another party had answered.',
    advice:
      'RFC 3261 13.2.2.4: the caller waits no longer for others to answer, and nothing opened. If the call has no audio, look for what delayed the response.',
  },
  'unexpected-answer': {
    means: 'A session description came where the offer/answer model has no place for it.',
    advice: 'RFC 6337 table 1 lists the six places. Report it to the maker of the sending device.',
  },
  'missing-ack': {
    means:
      'A 2xx to an INVITE was not acknowledged in time. The call and its pinholes are kept where no ACK of its caller comes ' +
      'past here; timers.ack says where they are not.',
    advice: 'If audio is missing as well, the ACK takes another path or is filtered: look for it.',
  },
  'fewer-streams': {
    means: 'A new session description has fewer m= lines than the one before.',
    advice:
      'Forbidden by RFC 3264 section 8: the lines that are left out count as switched off. Report it to the maker of the device.',
  },
  'extra-stream': {
    means: 'The answer has an m= line that the offer did not have, or one of another media type.',
    advice: 'The line was ignored. Report it to the maker of the answering device.',
  },
  'too-many-streams': {
    means: 'The session description has more m= lines, ports or candidates than the caps allow.',
    advice: 'Raise caps.streams, caps.candidates or caps.pinholes-per-call if the sender is honest.',
  },
  'too-many-sources': {
    means: 'The other party names more addresses to send one stream from than caps.sources.',
    advice:
      'The first of them may send. Raise caps.sources if the sender is honest; else it is somebody who wants third parties let in.',
  },
  'no-address': {
    means: 'No c= line with an IP address applies to the stream.',
    advice: 'The sender must write one; without it no one knows where the media goes.',
  },
  'hostname-address': {
    means: 'The stream is announced at a host name (or an mDNS .local name), not at an IP address.',
    advice: 'Make the device announce its IP address. Names are never resolved in the packet path.',
  },
  'on-hold': {
    means: 'The stream is announced at 0.0.0.0 or ::, so nothing can be sent to it.',
    advice: 'Nothing to do: it is the old way of hold, or a third party setting the call up.',
  },
  'unusable-address': {
    means: 'The stream is announced at a loopback, multicast, broadcast or link-local address.',
    advice: 'Set the media address of the device to one that its peers can reach.',
  },
  'not-inside': {
    means: 'The party that announced the stream is not inside: this firewall has nothing to open for it.',
    advice: 'Normal for the far end of every call. If it is one of your hosts, add its network to `inside`.',
  },
  'foreign-address': {
    means: 'The party announced an address that is neither its own nor one of media-hosts.',
    advice:
      'If media really goes to that host (a gateway, a media relay, the same host in the other address family), list it in `media-hosts`. If it is the public address of a host behind NAT, say so in `nat`. Else it is an attack or a NAT that rewrites nothing.',
  },
  'port-taken': {
    means: 'Another inside host has announced the same port of the same external address and holds it.',
    advice:
      'The first has it; the second gets it when it is free. Give the hosts behind one external address media port ranges that do not overlap.',
  },
  hairpin: {
    means:
      'Both ends are behind the same external address, and which inside host the media comes from is not known.',
    advice:
      'List the hosts of that external address one by one in `nat`, not as a network; or let the PBX keep the media of calls that come back in (Asterisk direct_media=no).',
  },
  'relayed-transport': {
    means:
      'A host inside announced an address and port that an outside party had announced before it in this Call-ID.',
    advice:
      'The host is a proxy that passes on what it did not write: its own ports are not for others to choose. If media really runs there, let the proxy write its own description, or have a media relay do it.',
  },
  'port-out-of-range': {
    means: 'The announced port lies outside media-ports. RTP goes on without its RTCP where that alone does.',
    advice: 'Set the media port range of the device inside media-ports, or widen media-ports.',
  },
  'denied-port': {
    means:
      'The announced port is one of denied-ports: a port on which other services listen. RTP goes on without its RTCP where ' +
      'that alone is one.',
    advice: 'Set the media port range of the device elsewhere, or take the port out of denied-ports.',
  },
  'unknown-transport': {
    means: 'The transport protocol of the m= line is none that is known (RTP, UDPTL, DTLS/SCTP, TCP).',
    advice: 'Ask for support of it, naming the m= line.',
  },
  'tcp-media': {
    means:
      'The stream runs over TCP (MSRP, BFCP, T.38) and tcp-media is off, or nobody connects to its owner: by a=setup it connects itself, or the connection is on hold.',
    advice:
      'Set tcp-media: true if you use it. Who is connected to says a=setup:passive or actpass in an offer, passive in an answer (RFC 4145); without the line the offerer connects.',
  },
  'no-source': {
    means: 'No address is known from which media of this address family may come.',
    advice: 'Normal before the answer when signalling and media use different address families.',
  },
  'peer-not-allowed': {
    means: 'The other signalling party is not in `peers`.',
    advice: 'Add its address to `peers` if you know it.',
  },
  'calls-limit': {
    means: 'caps.calls calls are being tracked already, or the host has as many as there are places left.',
    advice: 'Raise caps.calls, or find out who makes so many calls.',
  },
  'calls-per-host-limit': {
    means:
      'The host has caps.calls-per-host calls already, or one outside address has as many of them as there are places left.',
    advice: 'Raise caps.calls-per-host for a busy PBX; give its provider a name in `peers`.',
  },
  'unanswered-limit': {
    means:
      'So many calls from outside wait for a first answer that this one was given up: it is the oldest of the address that has most.',
    advice:
      'Its answer still opens its pinholes. Look for a flood; raise caps.unanswered, or give your provider a name in `peers`.',
  },
  'calls-per-peer-limit': {
    means: 'The named peer has as many calls already as `calls` of its entry in `peers` says.',
    advice: 'Raise `calls` of that peer, or find out who makes so many calls.',
  },
  'legs-limit': {
    means: 'A Call-ID has 64 legs already: INVITEs with other tags, or between other addresses.',
    advice:
      'A proxy that forks to so many, a loop, or somebody who looks for what it costs: see who sends them.',
  },
  'offer-rate-limit': {
    means: 'The inside host makes more than caps.offers-per-second offers.',
    advice: 'Raise caps.offers-per-second for a busy trunk, or look for a flood.',
  },
  'answer-rate-limit': {
    means:
      'The host sends more than caps.offers-per-second session descriptions in provisional responses and within calls; a long ' +
      'one, or one to a call with many forks, counts as several.',
    advice:
      'What its final response says counts all the same. Raise caps.offers-per-second, or look for a flood.',
  },
  'encrypted-signalling': {
    means:
      'Signalling goes over TLS, or a message asks for what follows it over TLS: nobody between the parties can read it.',
    advice:
      'Have the PBX or proxy mirror it by HEP: docs/encrypted.md. Otherwise its calls get no pinholes here, and need rules of your own.',
  },
  'static-ports-limit': {
    means:
      'So many ports of `static-media` are open that those for one more peer would be past caps.static-ports.',
    advice: 'Narrow the ports of the entry to what the PBX uses for this peer, or raise caps.static-ports.',
  },
  'hep-unknown-sender': {
    means: 'A copy of a message (HEP) came from a host that is not in `hep.from`.',
    advice:
      'If it is your PBX or proxy, add its address to `hep.from`. Otherwise somebody tries to have ports opened: find out who.',
  },
  'hep-wrong-key': {
    means: 'A copy of a message (HEP) has no key, or another than `hep.password-file` has.',
    advice:
      'Give the mirroring host the same password: docs/encrypted.md has the line for each. Versions 1 and 2 of HEP carry none: use version 3.',
  },
  'hep-too-old': {
    means:
      'A copy of a message (HEP) is older than `hep.max-age`, or younger than our clock, or tells no time.',
    advice:
      'Set the clocks of both hosts by NTP. Copies that were stored and are sent later, or again, open nothing. HEP version 1 tells no time: use version 3.',
  },
  'hep-not-spoken-for': {
    means:
      'A copy of a message (HEP) names an inside host that is neither the mirroring host nor in `hep.speaks-for`, or is between two others.',
    advice:
      'If the mirroring host is a proxy for that host, add the host to `hep.speaks-for`. Copies of what passes between a PBX and its inside telephones need nothing.',
  },
  'hep-rate-limit': {
    means: 'A host mirrors more than `hep.messages-per-second` messages.',
    advice: 'Mirror signalling only. Raise hep.messages-per-second for a busy PBX.',
  },
  'hep-unreadable': {
    means: 'A copy of a message (HEP) cannot be read, or does not say who the other party is.',
    advice:
      'Look at the detail. Use HEP version 3 without compression; over TCP no other can be read. FreeSWITCH leaves out IPv6 addresses.',
  },
  'firewall-error': {
    means: 'The firewall did not take the change.',
    advice: 'Run `pinholed doctor`: it says what is wrong and what to do.',
  },
} as const satisfies Record<string, { means: string; advice: string }>;

export type RefusalReason = keyof typeof REFUSALS;

/** Every call with the outside has it: its far end is not inside. No total counts it, and no list of refusals shows it. */
export function isUsual(reason: string): boolean {
  return reason === 'not-inside';
}

export interface Refusal {
  readonly reason: RefusalReason;
  /** What exactly was refused, for people. Control characters are escaped. */
  readonly detail: string;
}

/** Nothing that is read or decided has a `reason` of its own. */
export function isRefusal(answer: object): answer is Refusal {
  return 'reason' in answer;
}
