/** What was looked through for an explanation, and what to do where it lacks something. */
export interface Seen {
  /** Its name: "in the ...", "in this ...", "before the ...". */
  readonly name: 'capture' | 'recording';
  /** A message is missing of which others of the same call are there. */
  readonly midCall: string;
  /** To have a request that is not there. */
  readonly fromStart: string;
  readonly fromStartBothWays: string;
  /** The messages one way are there alone. */
  readonly bothWays: string;
  /** Another leg of the call is there alone. */
  readonly allLegs: string;
  /** No response is there. */
  readonly responses: string;
  /** A description is there, of a call that is not. */
  readonly wholeCall: string;
  /** The call goes on, and its answer is not there. */
  readonly lostAnswer: string;
  /** How to tell which hosts are inside. */
  readonly sayInside: string;
  /** How to try a mapping out, behind what to configure. */
  readonly tryMapping: (external: string, host: string) => string;
  /** Where what a device behind NAT announces would be right, behind how to mend the device. */
  readonly beforeNat: (address: string) => string;
}

export const IN_CAPTURE: Seen = {
  name: 'capture',
  midCall: 'was the capture started in the middle of the call?',
  fromStart: 'Start the capture before the call.',
  fromStartBothWays: 'Start the capture before the call, where both directions pass.',
  bothWays:
    'Capture both directions: a mirror port or a filter let one through only, or the way there is another.',
  allLegs: 'Capture on both sides of the proxy, or where all of its legs pass.',
  responses: 'Is the way of the responses in this capture?',
  wholeCall: 'Capture the whole call, and both directions of its signalling.',
  sayInside: 'say with --inside which are',
  lostAnswer:
    'The capture has lost the answer, or a filter did: of a message in fragments `port 5060` lets only the first through.',
  tryMapping: (external, host) => `; here: --nat ${external}=${host}`,
  beforeNat: (address) => `, or capture on the side where it is ${address}`,
};

const TAKEN_UP =
  'The daemon was started during the call, or had no room left for its beginning (daemon.recording).';
const ALL_PASS = 'have all SIP of the call pass here, by the rules that hand it to the daemon';

/** The messages of the call that the daemon remembers. */
export const IN_RECORDING: Seen = {
  name: 'recording',
  midCall: 'was the daemon started in the middle of the call?',
  fromStart: TAKEN_UP,
  fromStartBothWays: `${TAKEN_UP} Otherwise ${ALL_PASS}.`,
  bothWays: 'The other direction takes another way, or no rule hands it to the daemon.',
  allLegs: `Where a proxy stands between, ${ALL_PASS}.`,
  responses: 'Do the responses pass here, and does a rule hand them to the daemon?',
  lostAnswer: 'The answer took another way, or no rule handed it to the daemon.',
  wholeCall: `${TAKEN_UP} Otherwise ${ALL_PASS}.`,
  sayInside: 'set inside to those that are',
  tryMapping: () => '',
  beforeNat: () => '',
};
