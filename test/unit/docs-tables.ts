/** The tables of docs/, made from the code: the compiler asks for a line about everything that is new. */
import { apiRoutes } from '../../src/api/app.ts';
import { eventCatalog } from '../../src/api/event-catalog.ts';
import { type ProblemCode, problemStatus, problemTitle, problemType, saysWhenToRetry } from '../../src/api/problems.ts';
import { describeConfig } from '../../src/config.ts';
import { type Role, may, permissions, roles as roleNames } from '../../src/domain/access.ts';
import { eventTypes } from '../../src/domain/events.ts';
import { type FulfillmentStatus, fulfillmentMayBecome, fulfillmentStatuses } from '../../src/domain/fulfillment.ts';
import { type OrderStatus, mayBecome, orderStatuses } from '../../src/domain/order.ts';
import type { PaymentStatus } from '../../src/domain/payment.ts';
import { type DecisionAction, type StepName, allowedDecisions, decisionActions } from '../../src/domain/steps.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { percent } from '../../src/slo/words.ts';
import { fakes } from './api-fakes.ts';
import { alertRows } from './docs-alerts.ts';
import { metricRows } from './docs-metrics.ts';
import { attributeRows, spanRows } from './docs-spans.ts';

const { objectives, sla } = await loadObjectives();

const orders: Readonly<Record<OrderStatus, string>> = {
  received: 'accepted and kept; on its way to a confirmation',
  in_review: 'the risk rules want a person to look at it',
  confirmed: 'stock is reserved and the payment authorized',
  fulfilling: 'at least one shipment has left the house',
  completed: 'every fulfillment was delivered',
  partially_completed: 'some fulfillments were delivered, the others were not',
  cancelled: 'given up by the customer or a person; what it took was given back',
  rejected: 'refused by the business: out of stock, declined, or by the review',
};

const payments: Readonly<Record<PaymentStatus, string>> = {
  none: 'nothing was asked of the gateway, or it never happened',
  unknown: 'a request has no outcome yet; the gateway is asked, nobody guesses',
  declined: 'the gateway refused the authorization',
  authorized: 'the amount is held, nothing is captured',
  partially_captured: 'some fulfillments were charged',
  captured: 'the whole authorized amount was charged',
  voided: 'the hold was released, nothing was charged',
  partially_refunded: 'some of what was charged was given back',
  refunded: 'all that was charged was given back',
};

const fulfillments: Readonly<Record<FulfillmentStatus, string>> = {
  pending: 'planned: its stock is reserved',
  booked: 'the carrier has taken the shipment on',
  dispatched: 'it has left the house; it can be cancelled no more',
  delivered: 'the carrier says that it arrived',
  cancelled: 'it never left the house',
  failed: 'it left, and was given up as lost; its payment was given back',
};

const steps: Readonly<Record<StepName, string>> = {
  screen: 'judges the order by the risk rules',
  reserve: 'reserves stock, all lines or none, and plans the fulfillments',
  authorize: 'has the gateway hold the total',
  confirm: 'marks the order as confirmed',
  book: 'books a shipment with the carrier',
  await_dispatch: 'waits for the carrier to say that it left',
  dispatch: 'takes what left the house off the stock',
  capture: "charges the fulfillment's share of the total",
  await_delivery: 'waits for the carrier to say that it arrived',
  deliver: 'marks the fulfillment as delivered',
  fail_delivery: 'marks a shipment that a person gave up as failed',
  release: 'undoes `reserve`',
  void: 'undoes `authorize`: releases what is held and not charged',
  cancel_shipment: 'undoes `book`; the carrier may answer that it has left already',
  refund: 'undoes `capture`',
  withdraw_cancellation: 'says that a cancellation came too late',
  correct: 'applies the correction that came with a decision',
  open_attention: 'shows that the order waits for a person',
  close_attention: 'shows that it waits no more',
  finish: "writes the order's end",
  workflow:
    "not a step: the order's workflow is gone, and a retry starts a new one; or it stands still, and a retry leaves it be",
};

const decisions: Readonly<Record<DecisionAction, string>> = {
  retry: 'once more; under the same key, unless the provider refused it for good, which proves that it had no effect',
  retry_corrected: 'with a corrected payment token or shipping address, under a new key',
  skip: 'the step counts as done: a person has seen to it outside',
  cancel:
    'give the fulfillment (or, before the confirmation, the order) up, and undo what it took; ' +
    'a shipment that has left counts as lost, and is refunded',
  approve: 'the review lets the order pass',
  reject: 'the review refuses the order',
};

const roles: Readonly<Record<Role, string>> = {
  'read-only': 'looks at everything but the audit log and decoded payloads',
  shop: "the shop's own back end: sells, cancels, keeps catalogue and stock",
  'customer-service': 'helps customers: orders, cancels and decides for them',
  operator: 'is on call: decides about orders; consumers, dead letters and breakers',
  admin: 'everything',
};

const metricHead = ['Name', 'Type', 'Labels', 'Unit', 'Meaning'];

/** What stands between `<!-- table NAME -->` and `<!-- end -->` in the pages of docs/. */
export const tables = {
  settings: () =>
    table(
      ['Variable', 'Default', 'Meaning'],
      describeConfig().map(({ name, fallback, meaning }) => [code(name), fallback && code(fallback), meaning]),
    ),
  orders: () => statusTable(orders, orderStatuses, mayBecome),
  payments: () => table(['Status', 'Meaning'], pairs(payments)),
  fulfillments: () => statusTable(fulfillments, fulfillmentStatuses, fulfillmentMayBecome),
  steps: () =>
    table(
      ['Step', 'What it does', 'What may be decided when it is stuck'],
      (Object.keys(steps) as StepName[]).map((name) => [code(name), steps[name], codes(allowedDecisions(name))]),
    ),
  decisions: () =>
    table(
      ['Decision', 'Meaning'],
      decisionActions.map((action) => [code(action), decisions[action]]),
    ),
  roles: () =>
    table(
      ['Role', 'Who has it', 'Permissions'],
      roleNames.map((role) => [
        code(role),
        roles[role],
        codes(permissions.filter((permission) => may({ caller: '', roles: [role] }, permission))),
      ]),
    ),
  customer_permissions: () =>
    codes(permissions.filter((permission) => may({ caller: '', roles: [], customerId: 'c-1' }, permission))),
  events: () =>
    table(
      ['Type', 'What happened'],
      eventTypes.map((type) => [code(type), eventCatalog[type].meaning]),
    ),
  alerts: () => table(['Alert', 'Severity', 'It says'], alertRows()),
  objectives: () =>
    table(
      ['Objective', 'What is aimed for', 'Target over 30 days', 'Tells by', 'Team'],
      objectives.map(({ name, goal, target, severity, team }) => [code(name), goal, percent(target), severity, team]),
    ),
  events_counted: () => objectives.map(({ name, description }) => `- ${code(name)}: ${description}`).join('\n'),
  promises: () =>
    table(
      ['Objective', 'Promised per month', 'Credit, of the fee of the month'],
      sla.commitments.map(({ slo, target, credits }) => [
        code(slo),
        percent(target),
        credits.map((credit) => `${credit.percent} % below ${percent(credit.below)}`).join('; '),
      ]),
    ),
  exclusions: () => sla.exclusions.map((exclusion) => `- ${exclusion}`).join('\n'),
  process_metrics: () => table(metricHead, metricRows('process')),
  record_metrics: () => table(metricHead, metricRows('records')),
  spans: () => table(['Name', 'Kind', 'Meaning', 'Attributes'], spanRows()),
  span_attributes: () => table(['Attribute', 'Meaning'], attributeRows()),
  problems: () =>
    table(
      ['Status', 'Type', 'Meaning', '`Retry-After`'],
      apiProblems().map((problem) => [
        String(problemStatus(problem)),
        code(problemType(problem)),
        problemTitle(problem),
        saysWhenToRetry(problem) ? 'yes' : '',
      ]),
    ),
} as const satisfies Record<string, () => string>;

/** Every problem that some route answers with, by status. */
function apiProblems(): readonly ProblemCode[] {
  const codesOfRoutes = apiRoutes(fakes()).flatMap(({ problems }) => problems);
  // The one answer that belongs to no route.
  const all = new Set<ProblemCode>([...codesOfRoutes, 'method_not_allowed']);
  return [...all].toSorted((a, b) => problemStatus(a) - problemStatus(b) || (a < b ? -1 : 1));
}

function statusTable<S extends string>(
  meanings: Readonly<Record<S, string>>,
  all: readonly S[],
  mayFollow: (from: S, to: S) => boolean,
): string {
  const next = (from: S): string => codes(all.filter((to) => mayFollow(from, to))) || 'nothing: the end';
  return table(
    ['Status', 'Meaning', 'May become'],
    all.map((status) => [code(status), meanings[status], next(status)]),
  );
}

function pairs(meanings: Readonly<Record<string, string>>): string[][] {
  return Object.entries(meanings).map(([name, meaning]) => [code(name), meaning]);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map(tableRow).join('\n');
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function code(text: string): string {
  return `\`${text}\``;
}

function codes(texts: readonly string[]): string {
  return texts.map(code).join(', ');
}
