"""The rim towards DICOM: find, choose and load studies; write results. The only room that knows pydicom and highdicom."""
