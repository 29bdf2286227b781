/** Methods that have an RFC: 3261, 3262, 3311, 3428, 3515, 3903, 6086, 6665. */
export const METHODS: ReadonlySet<string> = new Set(
  'INVITE ACK BYE CANCEL OPTIONS REGISTER PRACK UPDATE INFO REFER NOTIFY SUBSCRIBE PUBLISH MESSAGE'.split(
    ' ',
  ),
);
