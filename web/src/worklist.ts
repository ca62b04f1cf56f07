/** The worklist: what needs eyes first on top, by itself up to date. */

import { h, show } from './dom'
import { listen, whoAmI, worklist, type Person, type Row } from './server'
import { footer, topBar, trouble } from './top'
import { ago, chance, clock, number, place, STATES } from './words'

const SHOWN = { all: 'All', unseen: 'Not seen yet', suspected: 'Suspected', not_assessable: 'Could not be judged', rest: 'The rest' }
const STAGES = { waiting: 'waiting', running: 'running', done: 'done', refused: 'could not be judged', absent: 'not there', failed: 'failed' }
const TICK_MS = 30_000

function stateCell(row: Row): HTMLElement {
  const state = STATES[row.state]
  return h('td', { 'data-label': 'Result' },
    h('a', { class: `state ${row.state}`, href: `/study.html#${row.key}` },
      h('span', { 'aria-hidden': 'true' }, state.symbol), ' ', state.words, place(row) && h('strong', {}, ` ${place(row)}`)),
    row.reasons[0] !== undefined && row.state !== 'absent' && h('small', {}, row.reasons[0]))
}

function tissueCell(row: Row): HTMLElement {
  const words = row.core_ml === null ? '—' : `${number(row.core_ml)} / ${number(row.mismatch_ml)} mL`
  return h('td', { 'data-label': 'Core / mismatch' }, words)
}

function stagesCell(row: Row): HTMLElement {
  const stages = row.stages.map((stage) =>
    h('li', { class: stage.state, title: stage.seconds === null ? '' : `${stage.seconds} s` }, `${stage.name}: ${STAGES[stage.state]}`))
  return h('td', { 'data-label': 'Stages' }, h('ul', { class: 'stages' }, ...stages))
}

function seenCell(row: Row): HTMLElement {
  const opinion = row.opinion && h('small', {}, `${row.opinion.by} ${row.opinion.agree ? 'agrees' : 'disagrees'}`)
  const seen = row.acknowledged ? `${row.acknowledged.by}, ${clock(row.acknowledged.at)}` : h('em', {}, 'not yet')
  return h('td', { 'data-label': 'Seen' }, seen, opinion)
}

function rowOf(row: Row, person: Person): HTMLElement {
  return h('tr', { class: row.acknowledged ? 'seen' : 'unseen' },
    stateCell(row),
    h('td', { 'data-label': 'Probability' }, chance(row.probability)),
    tissueCell(row),
    person.patient !== 'hidden' && h('td', { 'data-label': 'Patient' }, row.patient ?? '—'),
    h('td', { 'data-label': 'Since scan' }, ago(row.scanned_at)),
    h('td', { 'data-label': 'Since arrival' }, row.arrived_at ? ago(row.arrived_at) : h('span', { title: 'arrival is not known; since the result' }, `${ago(row.result_at)} (result)`)),
    stagesCell(row), seenCell(row))
}

function headOf(person: Person): HTMLElement {
  const names = ['Result', 'Probability', 'Core / mismatch', ...(person.patient === 'hidden' ? [] : ['Patient']), 'Since scan', 'Since arrival', 'Stages', 'Seen']
  return h('thead', {}, h('tr', {}, ...names.map((name) => h('th', { scope: 'col' }, name))))
}

class Page {
  private readonly body = h('tbody')
  private readonly count = h('p', { class: 'count', role: 'status' })
  private readonly live = h('span', { class: 'live' }, 'connecting')
  private readonly said = h('div', { 'aria-live': 'assertive' })
  private readonly search = h('input', { id: 'search', type: 'search', maxlength: 100, placeholder: 'M1, left, …', autocomplete: 'off' })
  private readonly filter = h('select', { id: 'filter' }, ...Object.entries(SHOWN).map(([value, words]) => h('option', { value }, words)))
  private suspected: Set<string> | null = null

  constructor(private readonly person: Person) {
    this.search.addEventListener('input', () => { void this.refresh(false) })
    this.filter.addEventListener('change', () => { void this.refresh(false) })
    show(
      topBar(person, h('h1', {}, 'Worklist')),
      h('form', { class: 'tools', role: 'search', submit: (event) => { event.preventDefault() } },
        h('label', { for: 'search' }, 'Search'), this.search,
        h('label', { for: 'filter' }, 'Show'), this.filter, this.live),
      this.said, this.count,
      h('table', { class: 'worklist' }, h('caption', { class: 'hidden' }, 'Studies, the most urgent first'), headOf(person), this.body),
      footer(person))
    listen(() => { void this.refresh(true) }, (live) => { this.live.textContent = live ? 'live' : 'connection lost'; this.live.classList.toggle('lost', !live) })
    setInterval(() => { void this.refresh(true) }, TICK_MS)
  }

  private async refresh(background: boolean): Promise<void> {
    try {
      const [search, filter] = [this.search.value, this.filter.value]
      const found = await worklist(search, filter, background)
      this.body.replaceChildren(...found.studies.map((row) => rowOf(row, this.person)))
      this.count.textContent = `${found.studies.length} of ${found.total} studies, ${found.unseen} not seen yet`
      document.title = `${found.unseen ? `(${found.unseen}) ` : ''}Worklist · lvo`
      this.announce(search || filter !== 'all' ? (await worklist('', 'suspected', true)).studies : found.studies)
    } catch (error) {
      this.said.replaceChildren(trouble(error))
    }
  }

  /** Says aloud that an occlusion is suspected in a study that was not in the list before. */
  private announce(rows: Row[]): void {
    const open = rows.filter((row) => row.state === 'suspected' && !row.acknowledged)
    const fresh = this.suspected === null ? [] : open.filter((row) => !this.suspected?.has(row.key))
    if (fresh[0]) {
      const row = fresh[0]
      this.said.replaceChildren(h('p', { class: 'alert' }, 'New: ', h('a', { href: `/study.html#${row.key}` }, `occlusion suspected, ${place(row)}`)))
    }
    this.suspected = new Set([...(this.suspected ?? []), ...open.map((row) => row.key)])
  }
}

whoAmI().then((person) => new Page(person)).catch((error: unknown) => { show(trouble(error)) })
