"""The pages on which people look at runs: one set of numbers, shown as a report in one file and as a dashboard.

runs.py       run folders -> a book of runs, with the tables that the terminal prints
lines.py      where the text of every sample lies, and what its lines say beside the numbers
standings.py  the numbers of a page: standings, scores by part, paired comparisons
insights.py   findings as data, with a sentence for each
samples.py    the samples as one table to filter and to browse
texts.py      model text -> what may be shown: text, and mathematics to typeset
report.py, html.py, pictures.py, markdown.py   the report
dashboard.py, app.py, tabs.py, explorer.py     the dashboard
"""
