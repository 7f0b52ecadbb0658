import type { ConsumerTarget } from '../domain/consumers.ts';
import type { EventSender } from '../domain/delivery-ports.ts';

/** One sender for all consumers: each target goes to the sender of its kind. */
export function createSender(senders: Readonly<Record<ConsumerTarget['kind'], EventSender>>): EventSender {
  return {
    send: (event, to, attempt) => senders[to.target.kind].send(event, to, attempt),
    async close() {
      await Promise.all(Object.values(senders).map((sender) => sender.close()));
    },
  };
}
