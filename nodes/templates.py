"""The example workflows' pictures, for ComfyUI's template browser.

ComfyUI lists `example_workflows/*.json` by file name, and the page shows that name as the title. It asks for a JPEG
of the same name beside each; newer servers send nothing but JSON from that folder, so the pack sends the pictures.
"""

from pathlib import Path
from urllib.parse import quote

_PACK = Path(__file__).resolve().parent.parent
FOLDER = _PACK / "example_workflows"
PICTURES_ROUTE = f"/workflow_templates/{quote(_PACK.name)}/{{name}}.jpg"
PICTURES = {path.stem: path for path in FOLDER.glob("*.jpg")}
