/** Captures of which we read other messages than tshark, with the reason. `read` are ours. */
export const COUNTED_OTHERWISE: Readonly<Record<string, { readonly read: number; readonly why: string }>> = {
  'OISF__sip-body-large__sip-body-large.pcap': {
    read: 1,
    why: 'its INVITE of 65,793 bytes is longer than caps.message-bytes may be by default: message-too-large',
  },
  'OISF__sip-compact-form__sip_compact_form.pcap': {
    read: 0,
    why: 'its From is \\"arik\\" <sip:...>: a backslash outside of a quoted string, and a quote that is not closed',
  },
  'OISF__sip-header-multi-value__sip_header_multi_val.pcap': {
    read: 0,
    why: 'it has two different To headers: conflicting-header',
  },
  'OISF__sip-sdp__sdp.pcap': {
    read: 0,
    why: 'its From is \\"arik\\" <sip:...>: a backslash outside of a quoted string, and a quote that is not closed',
  },
  'nokia__10_tcp_volte.pcap': {
    read: 21,
    why: 'both ends of a connection were given one address and port; tshark too reads 21 messages with tcp.analyze_sequence_numbers off, and takes most for retransmissions otherwise',
  },
  'ntop__fuzz-2006-06-26-2594.pcap': {
    read: 14,
    why: 'bytes damaged at random: tshark calls a packet SIP whose headers cannot be read, we count it as malformed',
  },
};
