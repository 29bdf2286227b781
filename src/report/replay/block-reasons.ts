/** Why a media packet was blocked: one closed list, each with what it means. docs/refusals.md has it, too. */
export const BLOCK_REASONS = {
  refused: 'Its destination was announced, but the announcement got no pinhole: the refusal is named.',
  'wrong-source': 'There was a pinhole for its destination, but not for the host or port it came from.',
  'early-media':
    'The same before the answer, while only the signalling peer may send: the answer lets the other host in.',
  closed: 'There had been a pinhole for it; the reason for which it was closed is named.',
  'announced-later': 'It came before the description that announced its destination.',
  nat: 'Its destination or its source was announced by a private address that the packet does not have.',
  'other-address': 'Its port was announced, but at another address than the one it goes to.',
  'other-port': 'Its destination host was announced, but with other ports.',
  'not-opened':
    'Its destination was announced in a message that is part of no call, or came into force never.',
  'same-host': 'A host sends to itself, which crosses no firewall.',
  'never-announced': 'No description in the capture names its destination.',
} as const satisfies Record<string, string>;

export type BlockReason = keyof typeof BLOCK_REASONS;
