import type { Happening } from '../../inspector/happening.ts';

/** Which Call-IDs there was a call of lately: what is told of a message that belongs to no leg depends on it. */
export interface KnownCalls {
  know(callId: string): void;
  /**
   * Whether people are told of it. A message of no leg (an ACK after a failure) is, while there was a call with its
   * Call-ID; what could not be read is not, since its refusal says so.
   */
  concerns(happening: Happening): boolean;
}

/** Remembers the latest `capacity`. */
export function createKnownCalls(capacity: () => number): KnownCalls {
  const known = new Set<string>();

  function know(callId: string): void {
    known.delete(callId);
    known.add(callId);
    if (known.size <= capacity()) return;
    for (const oldest of known) {
      known.delete(oldest);
      if (known.size <= capacity()) break;
    }
  }

  function concerns(happening: Happening): boolean {
    switch (happening.type) {
      case 'message':
        return happening.legIds.length > 0 || known.has(happening.message.callId);
      case 'malformed':
        return false;
      case 'call':
        know(happening.leg.callId);
        return true;
      case 'pinhole':
      case 'refused':
      case 'audio':
        return true;
    }
  }

  return { know, concerns };
}
