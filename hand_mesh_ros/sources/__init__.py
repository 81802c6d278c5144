"""A file name, a camera number or a seed comes in. Images with their calibration go out."""
