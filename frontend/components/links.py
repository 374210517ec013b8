"""Where the pages are, for ``st.page_link`` and ``st.switch_page``; each is a script below ``frontend/``.

Not in a folder called ``pages``: Streamlit would run such a script by itself, without ``app.py``, where an address is
opened before the first page.
"""

START = "screens/start.py"
RUNS = "screens/runs.py"
QUEUE = "screens/queue.py"
NEW_RUN = "screens/new_run.py"
RUN = "screens/run.py"
STUDIES = "screens/studies.py"
NEW_STUDY = "screens/new_study.py"
DATASETS = "screens/datasets.py"
WORKERS = "screens/workers.py"
