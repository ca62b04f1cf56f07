/** How a result is said: the same words, colours and symbols as in report.html. */

import type { Row } from './server'

export interface State { words: string; symbol: string }

export const STATES: Record<Row['state'], State> = {
  suspected: { words: 'Occlusion suspected', symbol: '▲' },
  not_assessable: { words: 'Could not be judged', symbol: '✕' },
  failed: { words: 'No usable result', symbol: '✕' },
  indeterminate: { words: 'Indeterminate', symbol: '◆' },
  not_detected: { words: 'Not detected', symbol: '○' },
  absent: { words: 'No CT angiogram', symbol: '—' },
  working: { words: 'In progress', symbol: '…' },
}

export const SENTENCES: Record<Row['state'], string> = {
  suspected: 'The artery map stops where it should go on.',
  not_assessable: 'No statement about a large-vessel occlusion was made. This is not a negative result.',
  failed: 'There is no usable result of all images. This is not a negative result.',
  indeterminate: 'The images speak neither clearly for an occlusion nor against one.',
  not_detected: 'Not detected is not the same as excluded.',
  absent: 'No statement about a large-vessel occlusion was made. This is not a negative result.',
  working: 'The result is not there yet.',
}

export const REASONS = {
  no_occlusion: 'There is no occlusion',
  occlusion_missed: 'An occlusion was missed',
  other_side: 'It is on the other side',
  other_site: 'It is at another site',
  old_occlusion: 'It is old',
  artefact: 'It is an artefact',
  other: 'Another reason',
} as const

/** Side and site, as "left M1". */
export function place(row: Pick<Row, 'side' | 'site'>): string {
  if (row.site) return row.side ? `${row.side} ${row.site}` : `${row.site}, side unknown`
  return row.side ? `${row.side}, site unknown` : ''
}

export const number = (value: number | null | undefined, digits = 0): string =>
  value === null || value === undefined ? '—' : value.toFixed(digits)

/** A probability: rounding never makes it certain. */
export function chance(value: number | null): string {
  if (value === null) return '—'
  return value > 0.99 ? '> 0.99' : value < 0.01 ? '< 0.01' : value.toFixed(2)
}

/** How long ago, as "12 min" or "3 h 05"; a dash when it is not known. */
export function ago(time: string | null, now = Date.now()): string {
  if (!time) return '—'
  const minutes = Math.max(0, Math.round((now - Date.parse(time)) / 60_000))
  if (minutes < 60) return `${minutes} min`
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')}`
  return `${Math.floor(minutes / 1440)} d`
}

export const clock = (time: string): string =>
  new Date(time).toLocaleString('en-GB', { day: '2-digit', month: 'short', hour: '2-digit', minute: '2-digit' })
