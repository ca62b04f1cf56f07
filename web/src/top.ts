/** The bar on top of every page: where one is, who one is. */

import { h } from './dom'
import { signOut, type Person } from './server'

export function topBar(person: Person, here: Node | string): HTMLElement {
  return h('header', { class: 'top' },
    h('div', { class: 'where' }, here),
    h('div', { class: 'who' }, person.role === 'admin' && h('a', { href: '/audit.html' }, 'Audit log'), h('span', {}, `${person.name} (${person.role})`),
      person.accounts && h('button', { type: 'button', click: () => { void signOut() } }, 'Sign out')))
}

export function footer(person: Person): HTMLElement {
  return h('footer', {}, h('p', {}, person.notice), h('p', {}, `lvo ${person.version}`))
}

/** What went wrong, for a person. */
export function trouble(error: unknown): HTMLElement {
  const said = error instanceof Error ? error.message : String(error)
  return h('p', { class: 'trouble', role: 'alert' }, said)
}
