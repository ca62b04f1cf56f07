/** What the server says, typed by its OpenAPI document (`npm run types`). */

import type { components } from './api'

type Schemas = components['schemas']
export type Row = Schemas['Row']
export type Worklist = Schemas['Worklist']
export type StudyView = Omit<Schemas['StudyView'], 'document'> & { document: Result | null }
export type Person = Schemas['Person']
export type AuditLine = Schemas['AuditLine']
export type AuditShow = 'all' | 'views' | 'decisions' | 'people'
export type Ways = Schemas['Ways']
export type OpinionGiven = Schemas['OpinionGiven']
export type Reason = NonNullable<OpinionGiven['reason']>

export interface Curve { times_s: number[]; enhancement_hu: number[]; peak_hu: number; time_to_peak_s: number }
export interface Check { what: string; value: number | string | null; rule: string; met: boolean | null }
export interface Criterion { name: string; source: string; date: string; met: boolean | null; checks: Check[] }
export interface Segment { segment: string; side: string; lumen_ml: number; expected_share: number | null; gap_mm: number | null; hu: number | null }

/** Where a patient could go; times with their zone, as result.json has them. */
export interface Destination { name: string; opening: string; drive_min: number; arrival: string; puncture: string; doubts: string[] }

/** The parts of result.json (schema lvo-result/1) that the pages show. */
export interface Result {
  status: string
  cta: {
    state: 'assessed' | 'not_assessable' | 'absent'
    reasons: string[]
    lvo: { call: string; probability: number; threshold: number; side: string | null; site: string | null; location_lps_mm: [number, number, number] | null } | null
    segments: Segment[] | null
    covered: string[] | null
    not_covered: string[] | null
  }
  perfusion: {
    state: 'assessed' | 'not_assessable' | 'absent'
    reasons: string[]
    core_ml: number | null
    hypoperfusion_ml: number | null
    mismatch_ml: number | null
    mismatch_ratio: number | null
    thresholds: Record<string, number> | null
    aif: Curve | null
    vof: Curve | null
  }
  criteria: Criterion[]
  transfer: { now: string; destinations: Destination[]; assumptions: string[] } | null
  quality: { code: string; severity: 'info' | 'warning' | 'refusal'; text: string }[]
  series: { role: string; used: boolean; reason: string; n_instances: number }[]
  models: { name: string; version: string }[]
}

/** A refusal of the server, with its words. */
export class Refused extends Error {
  constructor(readonly status: number, words: string) { super(words) }
}

let person: Person | null = null

async function ask<T>(method: string, path: string, body?: unknown, background = false, search = ''): Promise<T> {
  const headers: Record<string, string> = {}
  if (search) headers['X-Search'] = encodeURIComponent(search) // people search for names, and addresses end in logs
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (method !== 'GET' && person) headers['X-CSRF-Token'] = person.csrf
  if (background) headers['X-Background'] = '1'
  const answer = await fetch(`/api${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  if (answer.status === 401 && !path.startsWith('/session')) leave()
  const said: unknown = await answer.json()
  if (!answer.ok) throw new Refused(answer.status, words(said, answer.status))
  return said as T
}

function words(said: unknown, status: number): string {
  const detail = (said as { detail?: unknown }).detail
  return typeof detail === 'string' ? detail : `the server refused this (${status})`
}

/** Goes to the page for signing in, and back here afterwards. */
function leave(): void {
  location.assign(`/signin.html#${encodeURIComponent(location.pathname + location.hash)}`)
}

/** Who is signed in; leads to the page for signing in when nobody is. */
export async function whoAmI(): Promise<Person> {
  try {
    person = await ask<Person>('GET', '/session')
    return person
  } catch (error) {
    if (error instanceof Refused && error.status === 401) leave()
    throw error
  }
}

export const ways = (): Promise<Ways> => ask('GET', '/ways')
export const signIn = (name: string, password: string): Promise<Person> => ask('POST', '/session', { name, password })
export const signOut = async (): Promise<void> => { await ask('DELETE', '/session'); location.assign('/signin.html') }
export const worklist = (search: string, show: string, background: boolean): Promise<Worklist> =>
  ask('GET', `/studies?show=${show}`, undefined, background, search)
export const study = (key: string): Promise<StudyView> => ask('GET', `/studies/${key}`)
export const acknowledge = (key: string): Promise<Row> => ask('POST', `/studies/${key}/acknowledge`)
export const giveOpinion = (key: string, given: OpinionGiven): Promise<Row> => ask('POST', `/studies/${key}/opinion`, given)
export const audit = (show: AuditShow, by: string, key: string, before: number | null): Promise<Schemas['AuditPage']> => {
  const asked = Object.entries({ show, by, key, before: before === null ? '' : String(before) }).filter(([, value]) => value !== '')
  return ask('GET', `/audit?${new URLSearchParams(asked).toString()}`)
}
export const fileUrl = (key: string, path: string): string => `/api/studies/${key}/files/${path}`

/** Calls back at once and whenever the worklist changed. */
export function listen(changed: () => void, state: (live: boolean) => void): void {
  const stream = new EventSource('/api/events')
  stream.addEventListener('changed', changed)
  stream.addEventListener('open', () => { state(true) })
  stream.addEventListener('error', () => { state(false) })
}
