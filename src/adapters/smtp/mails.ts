import type { EventEnvelope, EventType } from '../../domain/events.ts';
import { formatMoney } from '../../domain/money.ts';

export interface MailText {
  readonly subject: string;
  readonly text: string;
}

interface Template {
  /** Behind "Your order 7f6f3c1e". */
  readonly headline: string;
  readonly lines: (data: Readonly<Record<string, unknown>>) => readonly string[];
}

/** Reasons are left out: they are codes, or what a provider, an operator or the carrier said among themselves. */
const templates: Partial<Record<EventType, Template>> = {
  'evenkeel.order.confirmed.v1': {
    headline: 'is confirmed',
    lines: ({ totalMinor, currency }) => [
      'Thank you. Your order is confirmed, and we are getting it ready.',
      ...(typeof totalMinor === 'number' && typeof currency === 'string'
        ? [`It comes to ${formatMoney({ amountMinor: totalMinor, currency })}.`]
        : []),
    ],
  },
  'evenkeel.order.dispatched.v1': {
    headline: 'is on its way',
    lines: () => [
      'A parcel of your order is on its way to you.',
      'If the order comes in several parcels, we write for each of them.',
    ],
  },
  'evenkeel.order.completed.v1': {
    headline: 'is complete',
    lines: () => ['All of your order has been delivered. Thank you for buying from us.'],
  },
  'evenkeel.order.partially_completed.v1': {
    headline: 'is complete in part',
    lines: () => ['Some of your order has been delivered. You pay nothing for what does not come.'],
  },
  'evenkeel.order.cancelled.v1': {
    headline: 'is cancelled',
    lines: () => ['Your order is cancelled. You pay nothing for it; if we had charged you, that is refunded.'],
  },
  'evenkeel.order.rejected.v1': {
    headline: 'cannot be carried out',
    lines: () => ['We are sorry: we cannot carry out your order. You pay nothing for it.'],
  },
};

/** What a customer reads about an event: plain text, in English, with nothing personal in it. */
export function mailOf({ type, subject: orderId, data }: Pick<EventEnvelope, 'type' | 'subject' | 'data'>): MailText {
  const { headline, lines } = templates[type] ?? generic(type);
  const signature = ['', '--', `Order ${orderId}`, 'This mail was written by a machine. Nobody reads replies to it.'];
  return {
    subject: `Your order ${orderId.slice(0, 8)} ${headline}`,
    text: `${[...lines(data), ...signature].join('\n')}\n`,
  };
}

/** `evenkeel.order.stock_reserved.v1` is "stock reserved". */
function generic(type: string): Template {
  const what = (type.split('.')[2] ?? '').replaceAll('_', ' ');
  return { headline: `has news: ${what}`, lines: () => [`There is news of your order: ${what}.`] };
}
