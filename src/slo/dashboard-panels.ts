/** What a dashboard is made of, in our words, and Grafana's for it. */

export interface Query {
  readonly expr: string;
  /** What a line is called: `{{ label }}` stands for the label's value. */
  readonly legend?: string;
}

export interface Panel {
  /** Tells the panel apart from all others of its dashboard: its id comes from it. */
  readonly title: string;
  readonly description?: string;
  readonly type: 'timeseries' | 'stat' | 'table';
  /** As Grafana calls it: `s`, `percentunit`, `bytes`, `reqps`, `short`. */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** Of the 24 columns; 8 if absent. */
  readonly width?: number;
  /** From which value on it is bad, or up to which. */
  readonly bad?: { readonly from: number } | { readonly to: number };
  /** Said in place of a value where there is none. */
  readonly nothing?: string;
}

export interface Section {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Dashboard {
  /** Part of its address: never changes. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly sections: readonly Section[];
}

const COLUMNS = 24;
const HEIGHTS = { timeseries: 8, stat: 4, table: 7 } as const satisfies Record<Panel['type'], number>;
/** The data source's uid, as `ops/grafana/provisioning` makes it. */
const prometheus = { type: 'prometheus', uid: 'prometheus' };
/** Of Grafana 11; newer ones read it too. */
const SCHEMA_VERSION = 39;

/** The dashboard as Grafana's JSON model. Panels flow from left to right, row by row; ids depend on titles alone. */
export function grafanaModel({ uid, title, description, sections }: Dashboard): object {
  const panels: object[] = [];
  let y = 0;
  for (const section of sections) {
    panels.push({
      id: idOf(section.title),
      type: 'row',
      title: section.title,
      collapsed: false,
      panels: [],
      ...at(0, y, COLUMNS, 1),
    });
    y += 1;
    let x = 0;
    let height = 0;
    for (const panel of section.panels) {
      const width = panel.width ?? 8;
      if (x + width > COLUMNS) {
        [x, y] = [0, y + height];
        height = 0;
      }
      panels.push({ ...panelModel(panel), ...at(x, y, width, HEIGHTS[panel.type]) });
      x += width;
      height = Math.max(height, HEIGHTS[panel.type]);
    }
    y += height;
  }
  return {
    uid,
    title,
    description,
    tags: ['evenkeel'],
    schemaVersion: SCHEMA_VERSION,
    version: 1,
    editable: false,
    graphTooltip: 1,
    timezone: 'browser',
    time: { from: 'now-6h', to: 'now' },
    refresh: '30s',
    links: [
      {
        type: 'dashboards',
        title: 'Evenkeel',
        tags: ['evenkeel'],
        asDropdown: true,
        includeVars: false,
        keepTime: true,
      },
    ],
    panels,
  };
}

function at(x: number, y: number, w: number, h: number): object {
  return { gridPos: { x, y, w, h } };
}

/** FNV-1a of the title: another panel before it changes no id, and links to it stay right. */
function idOf(title: string): number {
  let hash = 2_166_136_261;
  for (const char of title) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16_777_619);
  return (hash >>> 0) % 1_000_000_000;
}

function panelModel(panel: Panel): object {
  const { title, description, type, unit, queries, bad, nothing } = panel;
  return {
    id: idOf(title),
    type,
    title,
    ...(description === undefined ? {} : { description }),
    datasource: prometheus,
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCodePoint('A'.charCodeAt(0) + index),
      datasource: prometheus,
      expr,
      ...(legend === undefined ? {} : { legendFormat: legend }),
      ...(type === 'timeseries' ? { range: true } : { instant: true }),
      ...(type === 'table' ? { format: 'table' } : {}),
    })),
    fieldConfig: {
      defaults: {
        unit,
        ...(nothing === undefined ? {} : { noValue: nothing }),
        color: { mode: bad !== undefined && type === 'stat' ? 'thresholds' : 'palette-classic' },
        ...(bad === undefined ? {} : { thresholds: { mode: 'absolute', steps: stepsOf(bad) } }),
        custom:
          type === 'timeseries' ? { fillOpacity: 8, showPoints: 'never', ...(bad === undefined ? {} : dashed) } : {},
      },
      overrides: [],
    },
    options: optionsOf(type),
    ...(type === 'table' ? { transformations: tableColumns } : {}),
  };
}

const dashed = { thresholdsStyle: { mode: 'dashed' } };
const tableColumns = [{ id: 'organize', options: { excludeByName: { Time: true, Value: true, __name__: true } } }];

function stepsOf(bad: NonNullable<Panel['bad']>): object[] {
  return 'from' in bad
    ? [
        { color: 'green', value: null },
        { color: 'red', value: bad.from },
      ]
    : [
        { color: 'red', value: null },
        { color: 'green', value: bad.to },
      ];
}

function optionsOf(type: Panel['type']): object {
  if (type === 'table') return { showHeader: true };
  if (type === 'stat') return { reduceOptions: { calcs: ['lastNotNull'] }, graphMode: 'none', colorMode: 'background' };
  return { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } };
}
