/** The page for signing in. */

import { h, show } from './dom'
import { Refused, signIn, ways } from './server'
import { trouble } from './top'

/** Where the person came from; only pages of this server. */
function back(): string {
  const wanted = decodeURIComponent(location.hash.slice(1))
  return /^\/((study|audit)\.html)?(#[0-9a-f]{24})?$/.test(wanted) ? wanted : '/'
}

async function start(): Promise<void> {
  const known = await ways()
  if (!known.accounts) { location.replace(back()); return }
  const said = h('div', { 'aria-live': 'polite' })
  const name = h('input', { id: 'name', autocomplete: 'username', required: true, maxlength: 64 })
  const password = h('input', { id: 'password', type: 'password', autocomplete: 'current-password', required: true, maxlength: 256 })
  const submit = (event: Event): void => {
    event.preventDefault()
    signIn(name.value, password.value).then(
      () => { location.replace(back()) },
      (error: unknown) => {
        said.replaceChildren(trouble(error instanceof Refused && error.status === 401 ? new Error('Name or password is wrong.') : error))
        password.value = ''
        password.focus()
      })
  }
  show(h('form', { class: 'card signin', submit },
    h('h1', {}, 'Sign in'),
    h('label', { for: 'name' }, 'Name'), name,
    h('label', { for: 'password' }, 'Password'), password,
    h('button', { class: 'primary' }, 'Sign in'),
    known.oidc && h('a', { class: 'button', href: '/api/oidc/start' }, 'Sign in with the hospital account'),
    said))
  name.focus()
}

start().catch((error: unknown) => { show(trouble(error)) })
