"""The one cell that every notebook begins with, word for word: a test compares them."""

COLAB_BOOTSTRAP = """\
# On Colab this fetches the course and what Colab lacks. Anywhere else it does nothing.
import os, subprocess, sys

repository = ""  # @param {type:"string"}
if "google.colab" in sys.modules:
    repository = repository or os.environ.get("COURSE_REPOSITORY")
    assert repository, "Put the address you clone the course from into `repository` above."
    if not os.path.isdir("/content/course"):
        subprocess.run(["git", "clone", "--depth=1", repository, "/content/course"], check=True)
    subprocess.run([sys.executable, "/content/course/tools/colab.py"], check=True)
    sys.path.insert(0, "/content/course")
    os.chdir("/content/course/notebooks")"""
