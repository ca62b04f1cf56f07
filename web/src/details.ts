/** Everything behind the result: quality notes, segments, selection rules, series, limits of use. */

import { h, table } from './dom'
import type { Criterion, Result } from './server'
import { number } from './words'

const MET = (met: boolean | null): string => met === null ? 'unknown' : met ? 'met' : 'not met'
const SEVERITIES = { refusal: '✕ refused', warning: '! warning', info: 'i note' }

export function details(result: Result): HTMLElement {
  return h('section', { class: 'details', 'aria-label': 'Details' },
    h('h2', {}, 'Quality notes'),
    h('ul', { class: 'notes' }, ...result.quality.map((note) => h('li', { class: note.severity }, h('strong', {}, SEVERITIES[note.severity]), ` ${note.text}`))),
    segments(result),
    h('h2', {}, 'Selection rules'),
    h('p', {}, 'What each rule asks for and what is known here. This is not advice on treatment.'),
    ...result.criteria.map(rule),
    ...destinations(result),
    table('Series', ['Role', 'Images', 'Used', 'Why'], result.series.map((series) => [series.role, String(series.n_instances), series.used ? 'yes' : 'no', series.reason])),
    h('h2', {}, 'Limits of use'),
    h('ul', {},
      h('li', {}, 'Research use only; not a medical device; trained on synthetic heads and not validated on patients.'),
      h('li', {}, 'It cannot rule out an occlusion: a clinician must read the images.'),
      result.cta.not_covered ? h('li', {}, `Not judged at all: ${result.cta.not_covered.join(', ')}.`) : null,
      h('li', {}, 'The pictures here are copies at display resolution: read the original images in the PACS.')),
    h('p', { class: 'hint' }, result.models.map((model) => `${model.name} ${model.version}`).join(', ')))
}

function segments(result: Result): HTMLElement | null {
  if (!result.cta.segments) return null
  const rows = result.cta.segments.map((row) =>
    [row.segment, row.side, number(row.lumen_ml, 2), row.expected_share === null ? '—' : `${number(100 * row.expected_share)} %`, row.gap_mm === null ? '—' : number(row.gap_mm), number(row.hu)])
  return table('Arteries by segment', ['Segment', 'Side', 'Lumen (mL)', 'Of what is usual', 'Interrupted (mm)', 'HU'], rows)
}

/** Centres by predicted puncture, where the service has configured them. Times are those of the result, on its own clock. */
function destinations(result: Result): HTMLElement[] {
  if (!result.transfer) return []
  const zone = /([+-])(\d\d):(\d\d)$/.exec(result.transfer.now)  // as the service keeps its time; UTC without one
  const ahead_ms = zone ? Number(`${zone[1]}1`) * (Number(zone[2]) * 60 + Number(zone[3])) * 60_000 : 0
  const clock = (at: string): string => new Date(Date.parse(at) + ahead_ms).toISOString().slice(11, 16)
  const rows = result.transfer.destinations.map((row) =>
    [row.name, row.opening, `${number(row.drive_min)} min`, clock(row.arrival), clock(row.puncture), row.doubts.join('; ')])
  return [
    table('Thrombectomy centres', ['Centre', 'At arrival', 'Drive', 'Arrival', 'Puncture', 'Doubts'], rows),
    h('p', {}, `Worked out at ${clock(result.transfer.now)}: an order by time, no advice where to send a patient.`),
    h('ul', {}, ...result.transfer.assumptions.map((sentence) => h('li', {}, sentence))),
  ]
}

function rule(criterion: Criterion): HTMLElement {
  const counts = [true, false, null].map((met) => `${criterion.checks.filter((check) => check.met === met).length} ${MET(met)}`)
  return h('details', {},
    h('summary', {}, `${criterion.name}: ${MET(criterion.met)} (${counts.join(', ')})`),
    h('p', {}, `${criterion.source}; ${criterion.date}`),
    table(criterion.name, ['What', 'Here', 'Rule', 'Met'], criterion.checks.map((check) => [check.what, check.value === null ? '—' : String(check.value), check.rule, MET(check.met)])))
}
