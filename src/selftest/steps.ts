/** One thing that a call needs, and whether it was so. */
export interface Step {
  readonly step: string;
  readonly state: 'passed' | 'stopped' | 'not reached';
  readonly text: string;
  /** What to do about it; '' where there is nothing to do. */
  readonly advice: string;
}

const STEPS = {
  invite: 'INVITE out',
  seen: 'address outside',
  answer: '200 in',
  pinhole: 'pinhole',
  mediaIn: 'media in, first',
  stranger: 'stranger',
  mediaBack: 'its answer out',
  mediaOut: 'media out, first',
  mediaReturn: 'its answer in',
  bye: 'BYE, 200',
  closed: 'closed',
} as const;
export type StepName = keyof typeof STEPS;

/** Characters of the longest name. */
export const LONGEST_STEP = Math.max(...Object.values(STEPS).map(({ length }) => length));

/** What has become of each step so far. */
export interface Steps {
  passed(name: StepName, text: string): true;
  stopped(name: StepName, text: string, advice: string): false;
  /** All, in their order. */
  all(): Step[];
}

export function createSteps(): Steps {
  const known = new Map<StepName, Omit<Step, 'step'>>();
  return {
    passed(name, text) {
      known.set(name, { state: 'passed', text, advice: '' });
      return true;
    },
    stopped(name, text, advice) {
      known.set(name, { state: 'stopped', text, advice });
      return false;
    },
    all: () =>
      (Object.keys(STEPS) as StepName[]).map((name) => ({
        step: STEPS[name],
        ...(known.get(name) ?? { state: 'not reached', text: '', advice: '' }),
      })),
  };
}
