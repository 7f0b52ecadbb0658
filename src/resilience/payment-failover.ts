import { DomainFailure } from '../domain/failures.ts';
import type { PaymentGateway, PaymentRoute, PaymentRoutes } from '../domain/provider-ports.ts';
import type { Attempt } from '../domain/step-ports.ts';

/** Between the name of another gateway than the first and the id that it gave. */
const MARK = '~';
/** A gateway that is known to have had no effect is asked all the same, but nobody waits for it. */
const CLEARED_ANSWER_MS = 1_000;

/** Must not throw. */
export interface FailoverObserver {
  /** An authorization goes to another gateway than the first, for the first time. */
  movedOn?(move: { readonly key: string; readonly orderId: string; readonly provider: string }): void;
  /** More than one gateway had an effect under the key, or one that was known to have none: somebody must look. */
  contradiction?(found: { readonly key: string; readonly providers: readonly string[] }): void;
}

export type NamedGateway = readonly [name: string, gateway: PaymentGateway];
type Answer = NonNullable<Awaited<ReturnType<PaymentGateway['lookup']>>>;

/** A gateway's name for routes and ids: where it is, so that another order of the list leaves it what it was. */
export function gatewayName(baseUrl: string): string {
  const { host, pathname } = new URL(baseUrl);
  return `${host}${pathname.replace(/\/+$/, '')}`.replaceAll(MARK, '%7E');
}

/**
 * Several payment gateways as one. A key is sent to the first, and to the next only once the one before is known not to
 * have charged: nothing was sent there, or it was asked after the longest attempt and knows nothing of the key. What
 * was authorized is captured, voided and refunded where it was; ids of others than the first say whose they are, as
 * `<name>~<id>`. Fails as its gateways and its store do, and with `provider_unavailable` for a key that is with a gateway
 * which is not among these any more. One gateway alone is that gateway, and keeps no routes. Throws `RangeError` for two of
 * one name.
 */
export function failoverGateway(
  gateways: readonly [NamedGateway, ...NamedGateway[]],
  routes: Omit<PaymentRoutes, 'doubtful' | 'strangers'>,
  observer: FailoverObserver = {},
): PaymentGateway {
  const [[firstName, firstGateway], ...others] = gateways;
  if (others.length === 0) return firstGateway;
  const byName: ReadonlyMap<string, PaymentGateway> = new Map(gateways);
  const names = gateways.map(([name]) => name);
  if (byName.size < names.length) throw new RangeError(`a payment gateway is listed twice: ${names.join(', ')}`);

  const gatewayOf = (name: string, key: string): PaymentGateway => {
    const gateway = byName.get(name);
    if (gateway !== undefined) return gateway;
    throw new DomainFailure(
      'provider_unavailable',
      `key ${key} is with the payment gateway ${name}: configure it again`,
    );
  };
  const marked = (name: string, id: string): string => (name === firstName ? id : `${name}${MARK}${id}`);
  /** Where an id is from: the first gives ids without a mark, and whatever was marked before it was the first is its own. */
  const ownerOf = (id: string): { readonly name: string; readonly id: string } => {
    const end = id.indexOf(MARK);
    const name = id.slice(0, Math.max(end, 0));
    return byName.has(name) ? { name, id: id.slice(end + 1) } : { name: firstName, id };
  };
  const ours = <A extends Answer>(name: string, answer: A): A => {
    if (answer.outcome === 'authorized') return { ...answer, authorizationId: marked(name, answer.authorizationId) };
    if (answer.outcome === 'captured') return { ...answer, captureId: marked(name, answer.captureId) };
    return answer;
  };

  async function send<A extends Answer>(
    { key, orderId }: { readonly key: string; readonly orderId: string },
    providers: readonly string[],
    attempt: Attempt,
    call: (gateway: PaymentGateway) => Promise<A>,
  ): Promise<A> {
    for (let left = providers.length; ; left -= 1) {
      const route = await routes.open(key, orderId, providers);
      const { provider, isNew } = route;
      const gateway = gatewayOf(provider, key);
      // The store took its time: what is sent now could land when the attempt is thought to be over.
      requireTime(key, attempt);
      if (isNew && providers.length > 1 && provider !== firstName) observer.movedOn?.({ key, orderId, provider });
      try {
        return ours(provider, await call(gateway));
      } catch (error) {
        if (!(error instanceof DomainFailure && error.nothingSent)) throw error;
        const mayMoveOn = await routes.withdraw(key, route);
        if (!mayMoveOn || left <= 1) throw error;
      }
    }
  }

  /** `look` asks all that may have had an effect, and clears those that had none. */
  async function look(key: string, attempt: Attempt): Promise<Answer | undefined> {
    const known = await routes.find(key);
    if (known.length === 0) {
      // Whoever sent it did so before there was a choice, or died before a choice was made. What is done to an
      // authorization or a capture has none: another gateway would refuse it for good.
      const ownerName = (id: string | undefined): string => (id === undefined ? firstName : ownerOf(id).name);
      const provider = (await routes.suspect(key, ownerName)) ?? firstName;
      const answer = await gatewayOf(provider, key).lookup(key, attempt);
      return answer && ours(provider, answer);
    }
    const told = await Promise.all(
      known.map(async (route) => {
        const { provider, cleared } = route;
        const answer = cleared
          ? await unlessAway(byName.get(provider), key, attempt)
          : await gatewayOf(provider, key).lookup(key, attempt);
        return { route, answer: answer && ours(provider, answer) };
      }),
    );
    return judge(key, told);
  }

  async function judge(
    key: string,
    told: readonly { readonly route: PaymentRoute; readonly answer: Answer | undefined }[],
  ): Promise<Answer | undefined> {
    const effects = told.filter(({ answer }) => answer !== undefined && hadEffect(answer));
    const current = told.find(({ route }) => !route.cleared);
    if (effects.length > 1 || effects.some(({ route }) => route.cleared)) {
      observer.contradiction?.({ key, providers: effects.map(({ route }) => route.provider) });
    }
    const effect = effects.find(({ route }) => !route.cleared) ?? effects[0];
    if (effect !== undefined) return effect.answer;
    if (current !== undefined && current.answer === undefined && current.route.isOver) {
      await routes.clear(key, current.route);
    }
    return current?.answer;
  }

  return {
    authorize: (key, request, attempt) =>
      send({ key, orderId: request.orderId }, names, attempt, (gateway) => gateway.authorize(key, request, attempt)),
    capture(key, request, attempt) {
      const { name, id } = ownerOf(request.authorizationId);
      return send({ key, orderId: request.orderId }, [name], attempt, (gateway) =>
        gateway.capture(key, { ...request, authorizationId: id }, attempt),
      );
    },
    void(key, request, attempt) {
      const { name, id } = ownerOf(request.authorizationId);
      return send({ key, orderId: request.orderId }, [name], attempt, (gateway) =>
        gateway.void(key, { ...request, authorizationId: id }, attempt),
      );
    },
    refund(key, request, attempt) {
      const { name, id } = ownerOf(request.captureId);
      return send({ key, orderId: request.orderId }, [name], attempt, (gateway) =>
        gateway.refund(key, { ...request, captureId: id }, attempt),
      );
    },
    lookup: look,
  };
}

function requireTime(key: string, { signal, deadline = Infinity }: Attempt): void {
  if (!signal.aborted && performance.now() < deadline) return;
  throw new DomainFailure('provider_timeout', `no time is left to send ${key}`);
}

function hadEffect({ outcome }: Answer): boolean {
  return outcome !== 'declined' && outcome !== 'refused';
}

async function unlessAway(
  gateway: PaymentGateway | undefined,
  key: string,
  { signal, deadline = Infinity }: Attempt,
): Promise<Answer | undefined> {
  try {
    const soon = AbortSignal.any([signal, AbortSignal.timeout(CLEARED_ANSWER_MS)]);
    // Said, so that its breaker does not take so short a time for an outage.
    const sooner = Math.min(deadline, performance.now() + CLEARED_ANSWER_MS);
    return await gateway?.lookup(key, { signal: soon, deadline: sooner });
  } catch {
    return undefined;
  }
}
