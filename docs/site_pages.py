"""Hook of MkDocs: adds README.md, CHANGELOG.md and the files of the repository that pages link to, such as ../config/NAME.yaml.

Pages keep links that also work in the repository. On the site those files are in the folder `repository`.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
OUTWARD = re.compile(r"\]\(\.\./([^)#\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages and files that are outside of docs/.

    Raises:
        FileNotFoundError: if a page links to a file that does not exist.
    """
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=inward(text)))
    linked = {name for file in files.documentation_pages() for name in OUTWARD.findall(file.content_string)}
    for name in sorted(linked - PAGES.keys()):
        if not (ROOT / name).is_file():
            raise FileNotFoundError(f"a page links to ../{name}, which is not a file of the repository")
        files.append(File.generated(config, f"repository/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Text of a page with the links of the site."""
    return OUTWARD.sub(lambda found: f"]({PAGES.get(found[1], f'repository/{found[1]}')})", markdown)


def inward(text: str) -> str:
    """Text of a page of the root as a page of docs/: links to docs/ become local, other links to files lead out of docs/."""
    local = re.sub(r"\]\(docs/", "](", text)
    names = "|".join(re.escape(path.name) for path in ROOT.iterdir() if path.name != "docs")
    return re.sub(rf"\]\(((?:{names})(?:/[^)]*)?)\)", r"](../\1)", local)
