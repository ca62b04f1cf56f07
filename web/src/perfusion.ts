/** CT perfusion: numbers, maps with core and hypoperfusion, the curves that everything follows from. */

import { curves } from './curves'
import { h } from './dom'
import type { MapLook } from './niivue'
import { fileUrl, type StudyView } from './server'
import { trouble } from './top'
import { number } from './words'

const MAPS: MapLook[] = [
  { file: '', words: 'Core and hypoperfusion', low: 0, high: 1, colormap: 'gray' },
  { file: 'maps/tmax.nii.gz', words: 'Tmax (s)', low: 0, high: 12, colormap: 'warm' },
  { file: 'maps/cbf.nii.gz', words: 'CBF (mL/100 g/min)', low: 0, high: 80, colormap: 'viridis' },
  { file: 'maps/cbv.nii.gz', words: 'CBV (mL/100 g)', low: 0, high: 6, colormap: 'viridis' },
  { file: 'maps/mtt.nii.gz', words: 'MTT (s)', low: 0, high: 12, colormap: 'warm' },
  { file: 'maps/delay.nii.gz', words: 'Delay (s)', low: 0, high: 8, colormap: 'warm' },
]

export class Perfusion {
  readonly element = h('section', { class: 'perfusion', 'aria-label': 'CT perfusion' })
  private shown = false

  constructor(private readonly view: StudyView) {}

  /** Builds the section when it is first looked at. */
  load(): void {
    if (this.shown) return
    this.shown = true
    const found = this.view.document?.perfusion
    if (found?.state !== 'assessed') {
      const words = found?.state === 'not_assessable' ? 'Perfusion could not be judged' : 'No CT perfusion was analysed'
      this.element.append(h('h2', {}, words), h('ul', {}, ...(found?.reasons ?? []).map((reason) => h('li', {}, reason))))
      return
    }
    const rcbf = 100 * (found.thresholds?.['core_rcbf'] ?? 0)
    const numbers = [
      [`Core (rCBF < ${number(rcbf)} %)`, `${number(found.core_ml)} mL`], [`Hypoperfusion (Tmax > ${number(found.thresholds?.['tmax_hypoperfusion_s'])} s)`, `${number(found.hypoperfusion_ml)} mL`],
      ['Mismatch', `${number(found.mismatch_ml)} mL`], ['Mismatch ratio', number(found.mismatch_ratio, 1)],
    ] as const
    this.element.append(
      h('dl', { class: 'numbers' }, ...numbers.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))),
      this.maps(),
      found.aif && found.vof ? curves(found.aif, found.vof) : '')
  }

  private maps(): HTMLElement {
    const { files, row } = this.view
    const picture = files.includes('images/perfusion.png')
      ? h('img', { class: 'evidence', src: fileUrl(row.key, 'images/perfusion.png'), alt: 'Core and hypoperfusion on every slice, the patient’s right at the left', loading: 'lazy' })
      : ''
    if (!files.includes('preview/ctp.nii.gz')) return h('div', {}, picture)
    const maps = MAPS.filter((map) => map.file === '' || files.includes(map.file))
    const choice = h('select', { id: 'map' }, ...maps.map((map) => h('option', { value: map.words }, map.words)))
    const lesions = h('input', { id: 'lesions', type: 'checkbox', checked: true })
    const place = h('div', { class: 'panes solid' })
    const draw = (): void => {
      const look = maps.find((map) => map.words === choice.value)
      if (!look) return
      const masks = lesions.checked || look.file === '' ? ['hypoperfusion', 'core'].filter((name) => files.includes(`maps/${name}.nii.gz`)) : []
      import('./niivue').then(({ showMap }) => showMap(place, row.key, look, masks)).catch((error: unknown) => { place.replaceChildren(trouble(error)) })
    }
    choice.addEventListener('change', draw)
    lesions.addEventListener('change', draw)
    draw()
    return h('div', {},
      h('div', { class: 'tools' }, h('label', { for: 'map' }, 'Map', choice), h('label', { for: 'lesions' }, 'Core (magenta) and hypoperfusion (green)', lesions)),
      place, picture)
  }
}
