/** A room of the house: what it may import from the others, and the npm packages it may use. */
export interface Room {
  readonly path: string;
  readonly imports: readonly string[];
  readonly packages?: readonly string[];
}

/** Leaves that every room may use. */
export const LEAVES: readonly string[] = [
  'src/address',
  'src/counted.ts',
  'src/hash.ts',
  'src/lists.ts',
  'src/own-copy.ts',
  'src/printable.ts',
  'src/reason.ts',
  'src/remembered.ts',
  'src/scan.ts',
  'src/shape.ts',
  'src/version.ts',
];

const DECIDING = ['src/packet', 'src/sip', 'src/sdp', 'src/call', 'src/policy', 'src/pinhole'];
const ENDS = ['native-bindings', 'src/intercept', 'src/firewall', 'src/checks', 'src/config'];

/**
 * Rooms in the order in which data walks through them. Every file of the program lies in exactly one: the one whose
 * path is the longest that fits. CONTRIBUTING.md shows the same table.
 */
export const ROOMS: readonly Room[] = [
  { path: 'native-bindings', imports: [], packages: ['koffi'] },
  { path: 'src/address', imports: [] },
  { path: 'src/counted.ts', imports: [] },
  { path: 'src/hash.ts', imports: [] },
  { path: 'src/lists.ts', imports: [] },
  { path: 'src/own-copy.ts', imports: [] },
  { path: 'src/printable.ts', imports: [] },
  { path: 'src/reason.ts', imports: [] },
  { path: 'src/remembered.ts', imports: [] },
  { path: 'src/scan.ts', imports: [] },
  { path: 'src/shape.ts', imports: [] },
  { path: 'src/version.ts', imports: [] },
  { path: 'src/packet', imports: [] },
  { path: 'src/sip', imports: [] },
  { path: 'src/sdp', imports: [], packages: ['sdp-transform'] },
  { path: 'src/call', imports: ['src/sip', 'src/sdp'] },
  { path: 'src/pinhole', imports: ['src/call'] },
  { path: 'src/policy', imports: ['src/call', 'src/pinhole'] },
  { path: 'src/inspector', imports: DECIDING },
  { path: 'src/inspector.ts', imports: ['src/inspector', ...DECIDING] },
  { path: 'src/history', imports: ['src/inspector', ...DECIDING] },
  { path: 'src/intercept', imports: ['native-bindings', 'src/packet'] },
  { path: 'src/firewall', imports: ['native-bindings', 'src/pinhole'] },
  { path: 'src/config', imports: [], packages: ['yaml'] },
  { path: 'src/checks', imports: ['native-bindings', 'src/firewall', 'src/config'] },
  {
    path: 'src/daemon',
    imports: ['src/inspector.ts', 'src/inspector', ...DECIDING, ...ENDS],
    packages: ['@redis/client', 'pino'],
  },
  {
    path: 'src/control',
    imports: ['src/daemon', 'src/history', 'src/inspector', ...DECIDING, ...ENDS],
    packages: ['prom-client'],
  },
  {
    path: 'src/report',
    imports: [
      'src/control',
      'src/daemon',
      'src/history',
      'src/inspector.ts',
      'src/inspector',
      ...DECIDING,
      ...ENDS,
    ],
    packages: ['esbuild'],
  },
  {
    path: 'src/learn',
    imports: [
      'src/report',
      'src/history',
      'src/inspector.ts',
      'src/inspector',
      ...DECIDING,
      'src/intercept',
      'src/config',
    ],
  },
  {
    path: 'src/selftest',
    imports: ['src/call', 'src/checks', 'src/config', 'src/control', 'src/daemon', 'src/report'],
  },
  { path: 'src/web', imports: ['src/control', 'src/daemon', 'src/history', 'src/report', 'src/config'] },
  {
    path: 'src/commands',
    imports: [
      'src/web',
      'src/learn',
      'src/selftest',
      'src/control',
      'src/daemon',
      'src/history',
      'src/report',
      'src/inspector.ts',
      ...DECIDING,
      ...ENDS,
    ],
    packages: ['yargs'],
  },
  { path: 'src/main.ts', imports: ['src/commands', 'src/config'], packages: ['yargs'] },
];
