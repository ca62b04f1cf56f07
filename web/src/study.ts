/** One study: the finding and its picture at once, the volumes as soon as they are there. */

import { Angiogram, KEYS } from './angiogram'
import { details } from './details'
import { h, show } from './dom'
import { Opinions } from './opinion'
import { Perfusion } from './perfusion'
import { fileUrl, study, whoAmI, type Person, type StudyView } from './server'
import { footer, topBar, trouble } from './top'
import { ago, chance, number, place, SENTENCES, STATES } from './words'

const PICTURES = { 'images/site.png': 'Thick-slab MIP of the CT angiogram, the suspected site ringed', 'images/cutoff.png': 'The place in question close up, and the same place on the other side' }

/** The picture behind the call; asked for before anything else is known. */
function evidence(key: string): HTMLImageElement {
  const picture = h('img', { class: 'evidence first', alt: PICTURES['images/site.png'], src: fileUrl(key, 'images/site.png'), fetchpriority: 'high', elementtiming: 'evidence' })
  picture.addEventListener('load', () => { performance.mark('evidence-shown') })
  picture.addEventListener('error', () => { picture.remove() })
  return picture
}

function headline(view: StudyView): HTMLElement {
  const { row } = view
  const state = STATES[row.state]
  const probability = row.probability === null ? null : h('p', { class: 'probability' }, `probability ${chance(row.probability)} (suspected from ${number(row.threshold, 2)})`)
  const scanned = row.scanned_at ? `scanned ${ago(row.scanned_at)} ago` : null
  const tissue = row.core_ml === null ? null : `core ${number(row.core_ml)} mL, mismatch ${number(row.mismatch_ml)} mL`
  return h('section', { class: `headline ${row.state}`, 'aria-label': 'Finding' },
    h('h1', {}, h('span', { 'aria-hidden': 'true' }, state.symbol), ` ${state.words}`, place(row) ? `: ${place(row)}` : ''),
    probability, h('p', {}, [row.patient, tissue, scanned].filter(Boolean).join(' · ')), h('p', {}, SENTENCES[row.state]),
    row.reasons.length > 0 && h('ul', {}, ...row.reasons.map((reason) => h('li', {}, reason))))
}

interface Tab { id: string; words: string; content: HTMLElement; opened: () => void }

function tabs(all: Tab[]): HTMLElement {
  const buttons = all.map((tab) => h('button', { type: 'button', role: 'tab', id: `tab-${tab.id}`, 'aria-controls': `panel-${tab.id}`, click: () => { choose(tab) } }, tab.words))
  const panels = all.map((tab) => h('div', { role: 'tabpanel', id: `panel-${tab.id}`, 'aria-labelledby': `tab-${tab.id}` }, tab.content))
  const choose = (chosen: Tab): void => {
    all.forEach((tab, n) => {
      buttons[n]?.setAttribute('aria-selected', String(tab === chosen))
      buttons[n]?.setAttribute('tabindex', tab === chosen ? '0' : '-1')
      panels[n]?.toggleAttribute('hidden', tab !== chosen)
    })
    chosen.opened()
  }
  const list = h('div', { role: 'tablist', 'aria-label': 'Parts of the study' }, ...buttons)
  list.addEventListener('keydown', (event) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (!step) return
    const next = buttons[(buttons.indexOf(document.activeElement as HTMLButtonElement) + step + buttons.length) % buttons.length]
    next?.focus()
    next?.click()
  })
  if (all[0]) choose(all[0])
  return h('div', { class: 'tabs' }, list, ...panels)
}

function build(view: StudyView, person: Person, picture: HTMLImageElement): void {
  const angiogram = new Angiogram(view)
  const perfusion = new Perfusion(view)
  const closeUp = view.files.includes('images/cutoff.png') && h('img', { class: 'evidence', alt: PICTURES['images/cutoff.png'], src: fileUrl(view.row.key, 'images/cutoff.png'), loading: 'lazy' })
  const keys = h('details', { class: 'keys' }, h('summary', {}, 'Keys'), h('dl', {}, ...KEYS.map(([key, words]) => h('div', {}, h('dt', {}, key), h('dd', {}, words)))))
  document.title = `${STATES[view.row.state].words} ${place(view.row)} · lvo`
  show(
    topBar(person, h('a', { href: '/' }, '← Worklist')),
    h('div', { class: 'summary' },
      h('div', {}, headline(view), new Opinions(view.row, person).element, view.ohif && h('a', { class: 'button', href: view.ohif, rel: 'noreferrer', target: '_blank' }, 'Open in OHIF')),
      h('div', { class: 'pictures' }, view.files.includes('images/site.png') && picture, closeUp)),
    view.document && tabs([
      { id: 'cta', words: 'Angiogram', content: h('div', {}, angiogram.element, keys), opened: () => undefined },
      { id: 'ctp', words: 'Perfusion', content: perfusion.element, opened: () => { perfusion.load() } },
      { id: 'details', words: 'Details', content: details(view.document), opened: () => undefined },
    ]),
    footer(person))
  document.addEventListener('keydown', (event) => {
    const typing = (event.target as HTMLElement).closest('input[type=range], input[type=search], select, dialog, [role=tablist]')
    if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && angiogram.key(event.key)) event.preventDefault()
  })
  angiogram.load().catch((error: unknown) => { angiogram.element.append(trouble(error)) })
}

async function start(): Promise<void> {
  const key = location.hash.slice(1)
  if (!/^[0-9a-f]{24}$/.test(key)) { location.replace('/'); return }
  const picture = evidence(key)
  show(h('div', { class: 'pictures' }, picture))
  const [person, view] = await Promise.all([whoAmI(), study(key)])
  build(view, person, picture)
}

addEventListener('hashchange', () => { location.reload() })
start().catch((error: unknown) => { show(trouble(error), h('p', {}, h('a', { href: '/' }, 'Worklist'))) })
