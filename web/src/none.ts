/** Stands for codecs of Zarr, which NiiVue could read and we never give it: they would be half of the bundle. */
export default null
