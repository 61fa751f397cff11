"""Write the schemas."""

from tests.schemas import SCHEMAS

for described in SCHEMAS:
    described.file.write_text(described.text())
    print(described.file)
