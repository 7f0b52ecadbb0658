import { httpCarrier } from '../../src/adapters/http/carrier.ts';
import { httpPaymentGateway } from '../../src/adapters/http/payment-gateway.ts';
import { carrierConformance, paymentGatewayConformance } from '../support/provider-conformance.ts';
import { startSandbox } from '../support/sandbox.ts';

paymentGatewayConformance('the HTTP adapter', async () => {
  const { url, stop } = await startSandbox();
  return { gateway: httpPaymentGateway(url), tokens: { accepted: 'tok_visa', declined: 'tok_declined' }, stop };
});

carrierConformance('the HTTP adapter', async () => {
  const { url, stop, dispatch } = await startSandbox();
  return { carrier: httpCarrier(url), refusedPostalCode: 'UNDELIVERABLE', dispatch, stop };
});
