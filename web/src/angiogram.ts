/** The CT angiogram: slabs in three planes with the artery map, mirrored side by side, or the artery map in 3D by NiiVue. */

import { h } from './dom'
import { Pane, type Scene } from './pane'
import { fileUrl, type StudyView } from './server'
import { VESSEL_NAMES, type Plane, type Window } from './slab'
import { trouble } from './top'
import { loadVolume } from './volume'

const WINDOWS: Record<string, Window> = {
  Vessels: { low: -50, high: 550 },
  'Vessels, wide': { low: -200, high: 1000 },
  Brain: { low: 0, high: 80 },
  Stroke: { low: 20, high: 60 },
  Bone: { low: -200, high: 1800 },
}
const THICKNESSES_MM = [0, 5, 10, 15, 20, 25, 30, 40]
const FIRST_THICKNESS_MM = 20
const FULL = 'preview/cta_full.nii.gz'
const SMALL_SCREEN = '(max-width: 760px)'
const REST_MS = 200
const MODES = { planes: 'Three planes', mirror: 'Side by side, mirrored', solid: 'Artery map in 3D' }
type Mode = keyof typeof MODES

export const KEYS = [
  ['↑ ↓', 'one slice'], ['Page ↑ ↓', 'ten slices'], ['[ ]', 'thinner, thicker slab'], ['j', 'jump to the suspected site'], ['a', 'artery map on, off'],
  ['b', 'bone dimmed, drawn'], ['1 … 5', 'window'], ['p, m, d', 'three planes, mirrored, 3D'], ['Shift + drag', 'window by hand'],
  ['Ctrl + wheel, pinch, double click', 'zoom'],
] as const

export class Angiogram {
  readonly element = h('section', { class: 'angiogram', 'aria-label': 'CT angiogram' })
  private readonly panes = h('div', { class: 'panes' })
  private readonly tools = h('div', { class: 'tools' })
  private readonly thickness = h('input', { id: 'thickness', type: 'range', min: 0, max: THICKNESSES_MM.length - 1, step: 1 })
  private readonly thicknessWords = h('output', { for: 'thickness' })
  private readonly windows = h('select', { id: 'window' }, ...Object.keys(WINDOWS).map((name) => h('option', { value: name }, name)))
  private readonly arteries = h('input', { id: 'arteries', type: 'checkbox', checked: true })
  private readonly bone = h('input', { id: 'bone', type: 'checkbox', checked: true })
  private readonly mode = h('select', { id: 'mode' }, ...Object.entries(MODES).map(([value, words]) => h('option', { value }, words)))
  private scene: Scene | null = null
  private drawn: Pane[] = []
  private active: Pane | null = null
  private pending = false
  private rest = 0
  private readonly resolution = h('output', { class: 'resolution' })

  constructor(private readonly view: StudyView) {
    this.element.append(this.tools, this.panes)
  }

  /** Loads the volumes and shows them; says why where there are none. */
  async load(): Promise<void> {
    const { files, row, document } = this.view
    if (!files.includes('preview/cta.nii.gz')) {
      const why = document?.cta.state === 'absent' ? document.cta.reasons.join('; ') : 'This result has no images for the viewer; analyse the study again with [outputs] preview = true.'
      this.panes.replaceChildren(h('p', {}, why))
      return
    }
    this.panes.replaceChildren(h('p', { role: 'status' }, 'Loading the angiogram …'))
    const load = (name: string): ReturnType<typeof loadVolume> | null =>
      files.includes(`preview/${name}.nii.gz`) ? loadVolume(fileUrl(row.key, `preview/${name}.nii.gz`)) : null
    const [cta, vessels, bone] = await Promise.all([loadVolume(fileUrl(row.key, 'preview/cta.nii.gz')), load('vessels'), load('bone')])
    const point = document?.cta.lvo?.location_lps_mm
    const site = point ? cta.toIjk(point) : null
    const middle = cta.shape.map((n) => (n - 1) / 2) as [number, number, number]
    this.scene = {
      layers: { cta, vessels, bone, full: null }, cursor: site ? [...site] : middle, site, thicknessMm: FIRST_THICKNESS_MM,
      window: { low: -50, high: 550 }, opacity: 0.55, dimBone: true, resting: false,
    }
    this.build(this.scene)
    this.arrange()
    await new Promise(requestAnimationFrame) // the first pictures are drawn in this frame
    performance.mark('volume-interactive')
    this.element.dataset['ready'] = 'yes'
    if (files.includes(FULL)) this.offerFull(this.scene)
  }

  /** The voxels of the scan: by themselves on a screen, on a phone only when they are asked for. */
  private offerFull(scene: Scene): void {
    if (!matchMedia(SMALL_SCREEN).matches) { void this.loadFull(scene); return }
    this.resolution.replaceChildren(h('button', { type: 'button', id: 'full', click: () => { void this.loadFull(scene) } }, 'Full resolution'))
  }

  private async loadFull(scene: Scene): Promise<void> {
    this.resolution.replaceChildren('Full resolution: loading …')
    try {
      scene.layers.full = await loadVolume(fileUrl(this.view.row.key, FULL))
      this.resolution.replaceChildren('Full resolution')
      performance.mark('full-resolution')
      this.element.dataset['full'] = 'yes'
      this.redraw()
    } catch (error) {
      this.resolution.replaceChildren('Display resolution only: ', error instanceof Error ? error.message : String(error))
    }
  }

  /** Centres all planes on the suspected site. */
  jump(): void {
    if (!this.scene?.site) return
    this.scene.cursor = [...this.scene.site]
    this.redraw()
  }

  /** Acts on a key; false when it means nothing here. */
  key(name: string): boolean {
    const steps: Record<string, number> = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }
    const step = steps[name]
    if (step !== undefined) { (this.active ?? this.drawn[0])?.step(step); return true }
    const windows = Object.keys(WINDOWS)
    const chosen = /^[1-5]$/.test(name) ? windows[Number(name) - 1] : undefined
    if (chosen) { this.windows.value = chosen; this.windows.dispatchEvent(new Event('change')); return true }
    const modes: Record<string, Mode> = { p: 'planes', m: 'mirror', d: 'solid' }
    if (modes[name]) { this.mode.value = modes[name]; this.arrange(); return true }
    if (name === 'j') { this.jump(); return true }
    if (name === 'a') { this.arteries.click(); return true }
    if (name === 'b') { this.bone.click(); return true }
    if (name === '[' || name === ']') {
      this.thickness.valueAsNumber += name === ']' ? 1 : -1
      this.thickness.dispatchEvent(new Event('input'))
      return true
    }
    return false
  }

  private build(scene: Scene): void {
    this.thickness.value = String(THICKNESSES_MM.indexOf(FIRST_THICKNESS_MM))
    const sayThickness = (): void => { this.thicknessWords.textContent = scene.thicknessMm === 0 ? 'one slice' : `${scene.thicknessMm} mm` }
    this.thickness.addEventListener('input', () => { scene.thicknessMm = THICKNESSES_MM[this.thickness.valueAsNumber] ?? 0; sayThickness(); this.redraw() })
    this.windows.addEventListener('change', () => { scene.window = { ...(WINDOWS[this.windows.value] ?? scene.window) }; this.redraw() })
    this.arteries.addEventListener('change', () => { scene.opacity = this.arteries.checked ? 0.55 : 0; this.redraw() })
    this.bone.addEventListener('change', () => { scene.dimBone = this.bone.checked; this.redraw() })
    this.mode.addEventListener('change', () => { this.arrange() })
    const label = (words: string, control: HTMLElement): HTMLElement => h('label', { for: control.id }, words, control)
    const legend = h('ul', { class: 'legend' }, ...VESSEL_NAMES.map(([name, color]) => {
      const swatch = h('span', { 'aria-hidden': 'true' })
      swatch.style.backgroundColor = color
      return h('li', {}, swatch, name)
    }))
    this.tools.replaceChildren(
      label('View', this.mode), h('label', { for: 'thickness' }, 'Slab', this.thickness, this.thicknessWords), label('Window', this.windows),
      scene.layers.vessels ? label('Artery map', this.arteries) : '', scene.layers.bone ? label('Dim bone', this.bone) : '',
      scene.site ? h('button', { type: 'button', id: 'jump', click: () => { this.jump() } }, 'Jump to the site') : '',
      scene.layers.vessels ? legend : '', this.resolution)
    sayThickness()
  }

  private arrange(): void {
    const { scene } = this
    if (!scene) return
    const mode = this.mode.value as Mode
    this.panes.className = `panes ${mode}`
    if (mode === 'solid') { void this.solid(); return }
    const wanted: [Plane, boolean][] = mode === 'planes'
      ? [['axial', false], ['coronal', false], ['sagittal', false]]
      : [['axial', false], ['axial', true], ['coronal', false], ['coronal', true]]
    this.drawn = wanted.map(([plane, mirrored]) => new Pane(scene, plane, mirrored, () => { this.redraw() }))
    for (const pane of this.drawn) pane.element.addEventListener('focusin', () => { this.active = pane })
    this.active = this.drawn[0] ?? null
    this.panes.replaceChildren(...this.drawn.map((pane) => pane.element))
    this.redraw()
  }

  /** Draws once per frame of the screen, however often it is asked to. */
  private redraw(): void {
    if (this.pending) return
    this.pending = true
    requestAnimationFrame(() => {
      this.pending = false
      if (this.scene) this.scene.resting = false
      for (const pane of this.drawn) pane.draw()
      clearTimeout(this.rest)
      if (this.scene?.layers.full) this.rest = setTimeout(() => { this.refine(0) }, REST_MS)
    })
  }

  /** Draws the pictures with the voxels of the scan, one per turn, so that whoever goes on does not wait for all. */
  private refine(n: number): void {
    const pane = this.drawn[n]
    if (!this.scene || !pane) return
    this.scene.resting = true
    pane.draw()
    this.scene.resting = false
    this.rest = setTimeout(() => { this.refine(n + 1) }, 0)
  }

  private async solid(): Promise<void> {
    this.drawn = []
    if (!this.scene?.layers.vessels) { this.panes.replaceChildren(h('p', {}, 'There is no artery map.')); return }
    this.panes.replaceChildren(h('p', { role: 'status' }, 'Loading …'))
    try {
      const { showArteries } = await import('./niivue')
      await showArteries(this.panes, this.view.row.key)
    } catch (error) {
      this.panes.replaceChildren(trouble(error))
    }
  }
}
