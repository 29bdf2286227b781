export { describeSession, portsText, transportText } from '../call/description.ts';
