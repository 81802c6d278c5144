"""Public data sets of real hands: their official scores, submission files and training views.

Input: the folder of a data set in its official format (`formats`). Output: figures, files for the official servers, and views for
`models_train.train`. No data set is part of this repository. The user downloads a data set and accepts its licence.
"""
