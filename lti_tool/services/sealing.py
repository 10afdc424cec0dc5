"""Seals everything that is stored sealed with the newest key, so that a former one can be taken out of the settings."""

from sqlalchemy import select

from lti_tool.db import Base
from lti_tool.toolbox import Toolbox

BATCH = 200


def reseal(tools: Toolbox) -> int:
    """Seal every secret of every table anew; the number of secrets. The tool may run meanwhile; raises VaultError."""
    number = 0
    for mapper in Base.registry.mappers:
        model = mapper.class_
        sealed = [attribute.key for attribute in mapper.column_attrs if attribute.key.startswith("sealed_")]
        if not sealed:
            continue
        (key,) = mapper.primary_key
        last = 0
        while True:
            with tools.database.write() as session:
                query = select(model).where(key > last).order_by(key).limit(BATCH).with_for_update()
                rows = session.scalars(query).all()
                for row in rows:
                    for name in sealed:
                        secret = getattr(row, name)
                        if secret is not None:
                            setattr(row, name, tools.vault.seal(tools.vault.open(secret)))
                            number += 1
                last = max((row.id for row in rows), default=last)
                session.commit()
            if len(rows) < BATCH:
                break
    return number
