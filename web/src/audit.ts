/** The audit log for those who may see it: who looked at what and decided what, and whether the chain is whole. Nothing can be changed. */

import { h, show } from './dom'
import { audit, whoAmI, type AuditLine, type AuditShow, type Person } from './server'
import { footer, topBar, trouble } from './top'
import { REASONS } from './words'

const SHOWN: Record<AuditShow, string> = { all: 'All', views: 'Studies opened', decisions: 'Acknowledged and judged', people: 'Signing in and out' }
const KINDS: Record<string, string> = {
  viewed: 'opened the study', acknowledged: 'acknowledged the result', signed_in: 'signed in', signed_out: 'signed out', sign_in_refused: 'was refused',
  mended: 'half a line of the log was put aside after a power cut',
}

function deed(line: AuditLine): string {
  if (line.kind !== 'opinion') return KINDS[line.kind] ?? line.kind
  return line.agree ? 'agrees with the result' : `disagrees: ${(REASONS[line.reason as keyof typeof REASONS] ?? 'no reason').toLowerCase()}`
}

function rowOf(line: AuditLine, choose: (key: string) => void): HTMLElement {
  const study = line.key === null ? '—' : h('span', {}, h('a', { href: `/study.html#${line.key}` }, line.key), ' ',
    h('button', { type: 'button', class: 'small', 'aria-label': `Only study ${line.key}`, click: () => { choose(line.key ?? '') } }, 'only this'))
  return h('tr', {},
    h('td', { 'data-label': 'Line' }, String(line.n + 1)), h('td', { 'data-label': 'When' }, line.at.replace('T', ' ').replace('+00:00', ' UTC')),
    h('td', { 'data-label': 'Who' }, line.by ?? '—'), h('td', { 'data-label': 'Did' }, deed(line)), h('td', { 'data-label': 'Study' }, study))
}

class Page {
  private readonly filter = h('select', { id: 'filter' }, ...Object.entries(SHOWN).map(([value, words]) => h('option', { value }, words)))
  private readonly who = h('input', { id: 'who', maxlength: 64, autocomplete: 'off', pattern: '[A-Za-z0-9][A-Za-z0-9._\\-]*' })
  private readonly study = h('input', { id: 'study', maxlength: 24, autocomplete: 'off', pattern: '[0-9a-f]{24}' })
  private readonly chain = h('p', { class: 'chain', role: 'status' })
  private readonly body = h('tbody')
  private readonly older = h('button', { type: 'button', id: 'older', click: () => { void this.refresh(this.next) } }, 'Older')
  private readonly newest = h('button', { type: 'button', id: 'newest', click: () => { void this.refresh(null) } }, 'Newest')
  private next: number | null = null

  constructor(person: Person) {
    for (const input of [this.filter, this.who, this.study]) input.addEventListener('change', () => { void this.refresh(null) })
    const head = ['Line', 'When', 'Who', 'Did', 'Study'].map((words) => h('th', { scope: 'col' }, words))
    show(
      topBar(person, h('a', { href: '/' }, '← Worklist')), h('h1', {}, 'Audit log'), this.chain,
      h('form', { class: 'tools', submit: (event) => { event.preventDefault(); void this.refresh(null) } },
        h('label', { for: 'filter' }, 'Show', this.filter), h('label', { for: 'who' }, 'Account', this.who), h('label', { for: 'study' }, 'Study key', this.study)),
      h('table', { class: 'worklist' }, h('caption', { class: 'hidden' }, 'Lines of the audit log, the newest first'), h('thead', {}, h('tr', {}, ...head)), this.body),
      h('div', { class: 'buttons' }, this.newest, this.older), footer(person))
    void this.refresh(null)
  }

  private async refresh(before: number | null): Promise<void> {
    if (!this.who.checkValidity() || !this.study.checkValidity()) { this.chain.replaceChildren(trouble('An account has letters, digits, dots and dashes; the key of a study has 24 digits and letters a to f.')); return }
    try {
      const found = await audit(this.filter.value as AuditShow, this.who.value, this.study.value, before)
      this.next = found.older
      this.older.disabled = found.older === null
      this.newest.disabled = before === null
      this.body.replaceChildren(...found.lines.map((line) => rowOf(line, (key) => { this.study.value = key; void this.refresh(null) })))
      this.chain.classList.toggle('broken', found.problem !== '')
      this.chain.textContent = found.problem === ''
        ? `● The chain is whole: ${found.total} lines, none changed, removed or put in. ${found.found} shown in pages.`
        : `✕ The chain is broken after ${found.total} lines. ${found.problem}. Lines behind the break are not shown.`
    } catch (error) {
      this.body.replaceChildren()
      this.chain.replaceChildren(trouble(error))
    }
  }
}

whoAmI().then((person) => new Page(person)).catch((error: unknown) => { show(trouble(error)) })
