/** Acknowledge, agree, disagree. */

import { h } from './dom'
import { acknowledge, giveOpinion, type OpinionGiven, type Person, type Reason, type Row } from './server'
import { trouble } from './top'
import { clock, REASONS } from './words'

const SIDES = ['left', 'right', 'both', 'midline'] as const
const SITES = ['ICA', 'ICA-T', 'M1', 'M2', 'BA', 'other', 'none'] as const

export class Opinions {
  readonly element = h('section', { class: 'opinions', 'aria-label': 'Seen and judged' })
  private readonly said = h('div', { 'aria-live': 'polite' })
  private readonly dialog = h('dialog', { 'aria-labelledby': 'disagree-title' })

  constructor(private row: Row, private readonly person: Person) {
    this.draw()
  }

  /** The button that says one has seen the result, None for those who may not. */
  private draw(): void {
    const { row } = this
    const seen = row.acknowledged ? `Seen by ${row.acknowledged.by} at ${clock(row.acknowledged.at)}` : 'Nobody has acknowledged this result yet'
    const opinion = row.opinion ? ` · ${row.opinion.by} ${row.opinion.agree ? 'agrees' : `disagrees: ${row.opinion.reason ? REASONS[row.opinion.reason].toLowerCase() : ''}`}` : ''
    this.said.replaceChildren(h('p', { class: 'seen' }, seen + opinion))
    const allowed = this.person.role !== 'viewer'
    this.element.replaceChildren(this.said, allowed ? h('div', { class: 'buttons' },
      h('button', { type: 'button', class: 'primary', id: 'acknowledge', disabled: Boolean(row.acknowledged), click: () => { this.send(acknowledge(row.key)) } }, row.acknowledged ? 'Acknowledged' : 'Acknowledge'),
      h('button', { type: 'button', id: 'agree', click: () => { this.send(giveOpinion(row.key, { agree: true })) } }, 'Agree'),
      h('button', { type: 'button', id: 'disagree', click: () => { this.ask() } }, 'Disagree …')) : '', this.dialog)
  }

  private send(answer: Promise<Row>): void {
    answer.then((row) => { this.row = row; this.draw() }, (error: unknown) => { this.said.append(trouble(error)) })
  }

  private ask(): void {
    const choice = (id: string, words: string, values: readonly (readonly [string, string])[], required: boolean): [HTMLElement, HTMLSelectElement] => {
      const select = h('select', { id, required }, h('option', { value: '' }, required ? 'choose' : 'not said'), ...values.map(([value, text]) => h('option', { value }, text)))
      return [h('label', { for: id }, words, select), select]
    }
    const same = (names: readonly string[]): (readonly [string, string])[] => names.map((name) => [name, name])
    const [reasonLabel, reason] = choice('reason', 'Why', Object.entries(REASONS), true)
    const [sideLabel, side] = choice('side', 'Side as you see it', same(SIDES), false)
    const [siteLabel, site] = choice('site', 'Site as you see it', same(SITES), false)
    const submit = (event: Event): void => {
      event.preventDefault()
      const given: OpinionGiven = {
        agree: false, reason: reason.value as Reason,
        side: (side.value || null) as Exclude<OpinionGiven['side'], undefined>, site: (site.value || null) as Exclude<OpinionGiven['site'], undefined>,
      }
      this.dialog.close()
      this.send(giveOpinion(this.row.key, given))
    }
    this.dialog.replaceChildren(h('form', { submit },
      h('h2', { id: 'disagree-title' }, 'Disagree with the result'), reasonLabel, sideLabel, siteLabel,
      h('p', { class: 'hint' }, 'Goes into the audit log and the local validation set under your account.'),
      h('div', { class: 'buttons' }, h('button', { class: 'primary' }, 'Send'), h('button', { type: 'button', click: () => { this.dialog.close() } }, 'Cancel'))))
    this.dialog.showModal()
  }
}
