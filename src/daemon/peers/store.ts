import type { Stamp } from './stamp.ts';

/** Which version of a call, or of a connection. */
export interface Version {
  /** Sixteen characters: `key` of a journal entry. */
  readonly name: string;
  readonly stamp: Stamp;
}

/** One version of a call, or of a connection, as all firewalls of a group have it. */
export interface Stored extends Version {
  /** A record, as text; empty where it is over and nobody knows more. */
  readonly text: string;
  /** ms since it was written, by the clock of the store. */
  readonly age: number;
}

/** A version to be written. `wait`: messages wait, under these names, until everybody has its pinholes. */
export interface Unsent extends Omit<Stored, 'age'> {
  readonly wait: string;
}

/** What members of a group tell each other, in the order in which it was written. */
export type News =
  /** There is a new version of this call. `wait`: a message waits until everybody has its pinholes. */
  | {
      readonly what: 'written';
      readonly id: string;
      readonly name: string;
      readonly stamp: Stamp;
      readonly wait: string;
    }
  /** `machine` has everything that was written before `wait`, and its pinholes are open. */
  | { readonly what: 'confirmed'; readonly id: string; readonly machine: string; readonly wait: string }
  /** `machine` saw media in these pinholes: an id each, with a letter for the way before it. */
  | {
      readonly what: 'media';
      readonly id: string;
      readonly machine: string;
      readonly pinholes: readonly string[];
    }
  /** `machine` wants to know whether everybody has what was written before. */
  | { readonly what: 'asked'; readonly id: string; readonly machine: string; readonly wait: string };

/** A firewall of the group that is there. */
export interface Member {
  readonly machine: string;
  readonly name: string;
  /** Version of the records that it writes. */
  readonly records: number;
  /** Changes with every boot of its system; null where there is no such thing. */
  readonly boot: string | null;
  /** Changes with every start of its daemon; empty where it does not say. */
  readonly start: string;
}

/**
 * The store that firewalls of a group share, narrow enough for a test to have one in memory. Every method rejects when
 * the store is away.
 */
export interface Store {
  /** Resolves to what people should hear of how the store is set up. */
  connect(): Promise<readonly string[]>;
  /** Names what is in the store: another name after it was emptied, or is another store. */
  epoch(): Promise<string>;
  /** Id of the last news; `0-0` where there is none. */
  lastNews(): Promise<string>;
  /** Whether all news after this one are still there. */
  hasNewsAfter(id: string): Promise<boolean>;
  /** Which versions there are, some at a time. */
  versions(): AsyncIterable<readonly Version[]>;
  /** The present versions of these, those that are gone left out. */
  read(names: readonly string[]): Promise<readonly Stored[]>;
  /** Writes those that are later than what is there, and their news. */
  write(records: readonly Unsent[]): Promise<void>;
  tell(news: Told): Promise<void>;
  /** News after `id`: waits for some ms when there are none. */
  follow(id: string): Promise<readonly News[]>;
  /** Who is there as this machine; null where nobody is. */
  member(machine: string): Promise<Member | null>;
  /** Says that this firewall is there, and who else is. */
  greet(self: Member): Promise<readonly Member[]>;
  /** It goes. */
  leave(self: Member): Promise<void>;
  /** These calls are still somebody's. Resolves to those that are not there any more. */
  touch(names: readonly string[]): Promise<readonly string[]>;
  close(): void;
}

/** News that are about no version of a call. */
export type Told =
  | { readonly what: 'confirmed' | 'asked'; readonly machine: string; readonly wait: string }
  | { readonly what: 'media'; readonly machine: string; readonly pinholes: readonly string[] };
