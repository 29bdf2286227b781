/** Why there can be no test call; the message is the line to print. */
export class SelftestError extends Error {
  override readonly name = 'SelftestError';
}
