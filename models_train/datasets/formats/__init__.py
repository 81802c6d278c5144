"""Readers of the on-disk formats. Input: the folder of a data set. Output: one `DatasetSample` per annotated hand."""
