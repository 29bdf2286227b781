import type { Inspection, Inspector } from '../../inspector.ts';
import type { Answers, Order, Question } from '../messages.ts';
import type { DataPathDeps } from './deps.ts';
import type { FilterKeeper } from './filter-keeper.ts';
import type { Cause, Outbox } from './outbox.ts';
import type { Passage } from './passage.ts';
import type { WaitingRoom } from './waiting-room.ts';

interface OrdersDeps {
  readonly deps: Pick<DataPathDeps, 'changeSettings' | 'clock' | 'post'>;
  readonly inspector: Inspector;
  readonly filter: Pick<FilterKeeper, 'traffic' | 'repairSoon'>;
  readonly passage: Pick<Passage, 'learn'>;
  readonly waitingRoom: Pick<WaitingRoom, 'expect' | 'confirm'>;
  readonly outbox: Pick<Outbox, 'catchUp' | 'tell'>;
  readonly answer: (question: Question) => Answers[keyof Answers];
  readonly takeShared: (order: Extract<Order, { type: 'shared' }>) => void;
  /** What comes after something that no packet asked for. */
  readonly done: (inspection: Inspection, cause: Cause) => void;
  readonly stop: (keep: boolean) => void;
  readonly unexpected: (where: string, error: unknown) => void;
}

/** Does what the control thread says, between packets. */
export function createOrders(own: OrdersDeps) {
  const { deps, inspector, filter, passage, waitingRoom, outbox, answer, takeShared, done, stop } = own;
  const { clock, changeSettings, post } = deps;
  /** ms of the clock. */
  let askedAt = Number.NEGATIVE_INFINITY;

  function count({ seen, complete }: Extract<Order, { type: 'traffic' }>): void {
    const now = clock();
    for (const [id, way] of seen) {
      inspector.traffic(id, now, way);
      if (way !== 'sent') filter.traffic(id, now);
    }
    if (complete) done(inspector.counted(now, 0), 'deadline');
  }

  function reload(order: Extract<Order, { type: 'settings' }>): void {
    changeSettings(order.settings);
    inspector.reload();
  }

  function reply({ id, question }: Extract<Order, { type: 'ask' }>): void {
    askedAt = clock();
    outbox.catchUp();
    post({ type: 'answer', id, answer: answer(question) });
  }

  function follow(order: Order): void {
    switch (order.type) {
      case 'start':
        return;
      case 'traffic':
        count(order);
        return;
      case 'settings':
        reload(order);
        return;
      case 'addresses':
        done(inspector.renumber(order.addresses, clock()), 'deadline');
        return;
      case 'ingress':
        passage.learn(order.ingress);
        return;
      case 'shared':
        takeShared(order);
        return;
      case 'tell':
        outbox.tell(order.keys);
        return;
      case 'keep':
        inspector.keep(order.calls, clock());
        return;
      case 'confirmers':
        waitingRoom.expect(order.count);
        return;
      case 'confirmed':
        waitingRoom.confirm(order.waits);
        return;
      case 'repair':
        filter.repairSoon();
        return;
      case 'ask':
        reply(order);
        return;
      case 'stop':
        stop(order.keep);
        return;
    }
  }

  return {
    obey(order: Order): void {
      try {
        follow(order);
      } catch (error) {
        own.unexpected(`the order "${order.type}"`, error);
      }
    },
    /** When a question came last; -Infinity before the first. */
    askedAt: () => askedAt,
  };
}
