/** NiiVue, loaded only where it is needed: the artery map in 3D, and perfusion maps over the scan. */

import { Niivue, SLICE_TYPE } from '@niivue/niivue'

import { h } from './dom'
import { fileUrl } from './server'
import { COLORS } from './slab'

/** A map of perfusion: file, name with unit, range and colours. */
export interface MapLook { file: string; words: string; low: number; high: number; colormap: string }

const OPTIONS = {
  isRadiologicalConvention: true,
  sagittalNoseLeft: true,
  showAllOrientationMarkers: true,
  isOrientCube: true,
  fontColor: [1, 0.69, 0, 1] as [number, number, number, number],
  crosshairColor: [0.47, 0.78, 1, 0.6] as [number, number, number, number],
  crosshairWidth: 1,
  backColor: [0, 0, 0, 1] as [number, number, number, number],
  loadingText: 'Loading',
  dragAndDropEnabled: false,
}

/** Colours of core and hypoperfusion, the same as in the pictures. */
const LESIONS: Record<string, readonly [number, number, number]> = { core: [255, 59, 208], hypoperfusion: [46, 220, 60] }

const FROM_THE_FRONT_DEG = 180

async function begin(place: HTMLElement, label: string, hint: string): Promise<Niivue> {
  const canvas = h('canvas', { role: 'img', tabindex: 0, 'aria-label': label })
  place.replaceChildren(h('div', { class: 'niivue' }, canvas), h('p', { class: 'hint' }, hint))
  const viewer = new Niivue(OPTIONS)
  await viewer.attachToCanvas(canvas)
  return viewer
}

/** The artery map in 3D: turn it with the mouse or a finger; the cube says which side is which. */
export async function showArteries(place: HTMLElement, key: string): Promise<void> {
  const viewer = await begin(place, 'Artery map in 3D', 'Drag to turn. The cube’s letters are the patient’s sides. A picture of the map, not of the vessels: look at the slabs.')
  await viewer.loadVolumes([{ url: fileUrl(key, 'preview/vessels.nii.gz') }])
  const volume = viewer.volumes[0]
  const channel = (n: 0 | 1 | 2): number[] => COLORS.map((color) => color?.[n] ?? 0)
  volume?.setColormapLabel({ R: channel(0), G: channel(1), B: channel(2), A: COLORS.map((color) => color ? 255 : 0), I: COLORS.map((_, code) => code) })
  viewer.updateGLVolume()
  viewer.setSliceType(SLICE_TYPE.RENDER)
  viewer.setRenderAzimuthElevation(FROM_THE_FRONT_DEG, 10)
  place.dataset['drawn'] = 'solid'
}

/** A perfusion map over the scan before contrast, with core and hypoperfusion on it. */
export async function showMap(place: HTMLElement, key: string, look: MapLook, masks: string[]): Promise<void> {
  const viewer = await begin(place, `CT perfusion, ${look.words}`, 'Scroll for other slices. The patient’s right is at the left of the picture.')
  for (const [name, color] of Object.entries(LESIONS)) {
    viewer.addColormap(name, { R: [0, color[0]], G: [0, color[1]], B: [0, color[2]], A: [0, 255], I: [0, 255] })
  }
  const base = { url: fileUrl(key, 'preview/ctp.nii.gz'), colormap: 'gray', cal_min: 0, cal_max: 80, colorbarVisible: false }
  const map = { url: fileUrl(key, look.file), colormap: look.colormap, opacity: 0.8, cal_min: look.low, cal_max: look.high }
  const lesions = masks.map((name) => ({ url: fileUrl(key, `maps/${name}.nii.gz`), colormap: name, opacity: 0.6, cal_min: 0, cal_max: 1, colorbarVisible: false }))
  await viewer.loadVolumes([base, ...(look.file ? [map] : []), ...lesions])
  viewer.opts.isColorbar = look.file !== ''
  viewer.opts.isOrientCube = false
  viewer.setSliceType(SLICE_TYPE.AXIAL)
  place.dataset['drawn'] = look.words
}
