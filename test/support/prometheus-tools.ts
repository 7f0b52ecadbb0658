/** Prometheus, Alertmanager and their tools, by the names that Debian's packages give them. */
export function prometheusTools(): Readonly<Record<'prometheus' | 'promtool' | 'alertmanager' | 'amtool', string>> {
  return { prometheus: 'prometheus', promtool: 'promtool', alertmanager: 'prometheus-alertmanager', amtool: 'amtool' };
}
