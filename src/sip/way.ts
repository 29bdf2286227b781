import type { SipMessage } from './message.ts';

/** Methods whose Contact says where their sender is reached from then on (RFC 3261 10.2, 12; 3265, 3311, 3515). */
const TARGETING: ReadonlySet<string> = new Set([
  'INVITE',
  'REGISTER',
  'SUBSCRIBE',
  'NOTIFY',
  'REFER',
  'UPDATE',
]);

/** Whether Contact and Record-Route of a message with this start-line may lead later messages: of responses those of a 2xx or 3xx. */
export function mayShowTheWay({ method, status }: Pick<SipMessage, 'method' | 'status'>): boolean {
  return status === 0 ? TARGETING.has(method) : status >= 200 && status < 400;
}

/** Whether later messages go where this one's Contact and Record-Route lead. */
export function showsTheWay(message: SipMessage): boolean {
  if (message.contact === '' || !mayShowTheWay(message)) return false;
  return message.status === 0 || TARGETING.has(message.cseqMethod);
}
