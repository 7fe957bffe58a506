"""What tests ask of a section."""

from hugraph.report.page import Details, Number, Picture, Prose, Table


def flat(blocks):
    """All blocks, those inside of others as well."""
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from flat(block.blocks)


def tables(section):
    return [block for block in flat(section.blocks) if isinstance(block, Table)]


def texts(section):
    return [block.text for block in flat(section.blocks) if isinstance(block, Prose)]


def pictures(section):
    return [block for block in flat(section.blocks) if isinstance(block, Picture)]


def shown(table):
    """The rows as a reader sees them."""
    return [[cell.text if isinstance(cell, Number) else cell for cell in row] for row in table.rows]
